-- One row per event; the columns are the fields of common.event.Event and where the row lay in the stream.
-- "" and 0 mean none, so nothing is Nullable. The TTL comes from [events] keep (events/schema.py).
CREATE TABLE IF NOT EXISTS events
(
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    type LowCardinality(String),
    id String CODEC(ZSTD(1)),
    submission String CODEC(ZSTD(1)),
    delivery String CODEC(ZSTD(1)),
    attempt UInt32,
    pool LowCardinality(String),
    source_address LowCardinality(String),
    worker LowCardinality(String),
    sender String CODEC(ZSTD(1)),
    recipient String CODEC(ZSTD(1)),
    recipients Array(String) CODEC(ZSTD(1)),
    domain String CODEC(ZSTD(1)),
    site String CODEC(ZSTD(1)),
    provider LowCardinality(String),
    campaign LowCardinality(String),
    tags Array(LowCardinality(String)),
    meta Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    message_id String CODEC(ZSTD(1)),
    size UInt64 CODEC(T64, ZSTD(1)),
    priority UInt8,
    interface LowCardinality(String),
    client_address String CODEC(ZSTD(1)),
    status LowCardinality(String),
    reason LowCardinality(String),
    phase LowCardinality(String),
    code UInt16,
    enhanced_code LowCardinality(String),
    text String CODEC(ZSTD(3)),
    mx_host String CODEC(ZSTD(1)),
    mx_address String CODEC(ZSTD(1)),
    tls_version LowCardinality(String),
    tls_cipher LowCardinality(String),
    tls_policy LowCardinality(String),
    signatures Array(LowCardinality(String)),
    next_attempt DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    time_queue Float32,
    time_dns Float32,
    time_connect Float32,
    time_transfer Float32,
    time_total Float32,
    bounce_class LowCardinality(String),
    count UInt32,
    stream_sequence UInt64 CODEC(Delta, ZSTD(1)),
    row_number UInt32,
    INDEX by_submission submission TYPE bloom_filter(0.01),
    INDEX by_delivery delivery TYPE bloom_filter(0.01),
    INDEX by_sender lower(sender) TYPE bloom_filter(0.01),
    INDEX by_recipient lower(recipient) TYPE bloom_filter(0.01),
    INDEX by_recipients arrayMap(address -> lower(address), recipients) TYPE bloom_filter(0.01),
    INDEX by_sequence stream_sequence TYPE minmax
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (pool, type, time)
SETTINGS
    -- A recorder that crashed repeats its insert with the same token.
    non_replicated_deduplication_window = 1000,
    ttl_only_drop_parts = 1,
    -- What is inserted is purged from the stream: it has to be on the disk (3 ms for each insert).
    fsync_after_insert = 1,
    fsync_part_directory = 1;
