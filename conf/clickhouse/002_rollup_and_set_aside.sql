-- Counts and latencies by the minute. The view adds a row for each event, of the same block and with the same token, and
-- the engine sums them up. No GROUP BY here: how that forms its blocks is nobody's promise, and a repeated insert has
-- to come as the same blocks. Events of before this migration are not in it.
-- A latency of t seconds counts in bucket n = ceil(4 * log2(t)): 2^((n - 1) / 4) < t <= 2^(n / 4); 1 ms and below in -39.
CREATE TABLE IF NOT EXISTS events_by_minute
(
    minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    type LowCardinality(String),
    pool LowCardinality(String),
    worker LowCardinality(String),
    domain String CODEC(ZSTD(1)),
    campaign LowCardinality(String),
    -- Rows of events, what they stand for (their own count), and the sum of the sizes.
    rows SimpleAggregateFunction(sum, UInt64),
    count SimpleAggregateFunction(sum, UInt64),
    bytes SimpleAggregateFunction(sum, UInt64),
    -- From acceptance to this outcome, and this attempt alone; rows without one are not counted.
    latency_total SimpleAggregateFunction(sumMap, Map(Int8, UInt64)),
    latency_attempt SimpleAggregateFunction(sumMap, Map(Int8, UInt64))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(minute)
ORDER BY (pool, type, minute, domain, campaign, worker)
SETTINGS
    non_replicated_deduplication_window = 1000,
    ttl_only_drop_parts = 1,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS events_to_minutes TO events_by_minute AS
WITH
    time_dns + time_connect + time_transfer AS attempt,
    CAST(map(), 'Map(Int8, UInt64)') AS none
SELECT
    toStartOfMinute(time) AS minute,
    type,
    pool,
    worker,
    domain,
    campaign,
    toUInt64(1) AS rows,
    count,
    size AS bytes,
    if(time_total > 0, map(toInt8(ceil(4 * log2(least(greatest(time_total, 0.001), 1e9)))), toUInt64(1)), none)
        AS latency_total,
    if(attempt > 0, map(toInt8(ceil(4 * log2(least(greatest(attempt, 0.001), 1e9)))), toUInt64(1)), none)
        AS latency_attempt
FROM events;

-- What is no row of events: messages that cannot be read (as they are), rows that ClickHouse refuses (as a message of
-- one row). `stream` is when the stream was created, `time` when the broker stored the message.
CREATE TABLE IF NOT EXISTS events_set_aside
(
    time DateTime64(3, 'UTC'),
    stream String,
    stream_sequence UInt64,
    row_number UInt32,
    reason String,
    message String
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY time
SETTINGS
    non_replicated_deduplication_window = 1000,
    ttl_only_drop_parts = 1,
    fsync_after_insert = 1,
    fsync_part_directory = 1;
