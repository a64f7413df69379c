-- alone
-- Rollups: what happened, added up by the minute and by the hour, without an address in them. Two families, for one with
-- every dimension would have a row for every event:
--   traffic_by_*  by provider, campaign, sender's domain, source address, TLS version; not by domain
--   domains_by_*  by the recipient's domain (and its provider)
-- both by pool, type, reason, bounce class and type. What asks for another pair of them asks events.
--
-- rows: rows of events. count: what they stand for (rejections are gathered). bytes: sum of sizes. recipients: of
-- accepted rows. attempts: sum of the attempts' numbers. Latencies are histograms, bucket to how many: t seconds count in
-- bucket n = ceil(4 * log2(t)), so 2^((n - 1) / 4) < t <= 2^(n / 4), 19 % wide; 1 ms and below in -39; no time, no count.
-- Rows of the same key in parts not merged yet are several: always ask with sum and sumMap. time is when the minute, or
-- the hour, begins.
--
-- A view adds a row for each event, of the same block and with the same token, and the engine sums them up. No GROUP BY
-- in it: how that forms its blocks is nobody's promise, and a repeated insert has to come as the same blocks.
--
-- "alone": run by whoever records, while nothing is being recorded (events/schema.py); a rollup is filled from what its
-- view reads before it has the view. Repeated after a crash it begins anew. What 002 began goes: its rows are in these.
DROP VIEW IF EXISTS events_to_minutes;
DROP VIEW IF EXISTS events_to_traffic;
DROP VIEW IF EXISTS traffic_to_hours;
DROP VIEW IF EXISTS events_to_domains;
DROP VIEW IF EXISTS domains_to_hours;
DROP TABLE IF EXISTS events_by_minute;
DROP TABLE IF EXISTS traffic_by_minute;
DROP TABLE IF EXISTS traffic_by_hour;
DROP TABLE IF EXISTS domains_by_minute;
DROP TABLE IF EXISTS domains_by_hour;

CREATE TABLE traffic_by_minute
(
    time DateTime('UTC') CODEC(Delta, ZSTD(1)),
    pool LowCardinality(String),
    type LowCardinality(String),
    provider LowCardinality(String),
    campaign LowCardinality(String),
    sender_domain LowCardinality(String),
    source_address LowCardinality(String),
    reason LowCardinality(String),
    bounce_class LowCardinality(String),
    bounce_type LowCardinality(String),
    tls_version LowCardinality(String),
    rows SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    recipients SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    attempts SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    latency_queue SimpleAggregateFunction(sumMap, Map(Int8, UInt64)) CODEC(ZSTD(1)),
    latency_connect SimpleAggregateFunction(sumMap, Map(Int8, UInt64)) CODEC(ZSTD(1)),
    latency_transfer SimpleAggregateFunction(sumMap, Map(Int8, UInt64)) CODEC(ZSTD(1)),
    latency_total SimpleAggregateFunction(sumMap, Map(Int8, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toMonday(time)
PRIMARY KEY (pool, type, time)
ORDER BY (pool, type, time, provider, campaign, sender_domain, source_address, reason, bounce_class, bounce_type,
    tls_version)
SETTINGS
    non_replicated_deduplication_window = 1000,
    ttl_only_drop_parts = 1,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE MATERIALIZED VIEW events_to_traffic TO traffic_by_minute AS
WITH
    CAST(map(), 'Map(Int8, UInt64)') AS none,
    seconds -> if(seconds > 0, map(toInt8(ceil(4 * log2(least(greatest(seconds, 0.001), 1e9)))), toUInt64(1)), none)
        AS bucket
SELECT
    toStartOfMinute(time) AS time,
    pool,
    type,
    provider,
    campaign,
    lower(extract(sender, '@([^@]*)$')) AS sender_domain,
    source_address,
    reason,
    bounce_class,
    bounce_type,
    tls_version,
    toUInt64(1) AS rows,
    count,
    size AS bytes,
    length(recipients) AS recipients,
    attempt AS attempts,
    bucket(time_queue) AS latency_queue,
    bucket(time_connect) AS latency_connect,
    bucket(time_transfer) AS latency_transfer,
    bucket(time_total) AS latency_total
FROM events;

CREATE TABLE traffic_by_hour AS traffic_by_minute
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(time)
PRIMARY KEY (pool, type, time)
ORDER BY (pool, type, time, provider, campaign, sender_domain, source_address, reason, bounce_class, bounce_type,
    tls_version)
SETTINGS
    non_replicated_deduplication_window = 1000,
    ttl_only_drop_parts = 1,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE MATERIALIZED VIEW traffic_to_hours TO traffic_by_hour AS
SELECT * REPLACE (toStartOfHour(time) AS time) FROM traffic_by_minute;

CREATE TABLE domains_by_minute
(
    time DateTime('UTC') CODEC(Delta, ZSTD(1)),
    pool LowCardinality(String),
    type LowCardinality(String),
    domain String CODEC(ZSTD(1)),
    provider LowCardinality(String),
    reason LowCardinality(String),
    bounce_class LowCardinality(String),
    bounce_type LowCardinality(String),
    rows SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    recipients SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    attempts SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    latency_queue SimpleAggregateFunction(sumMap, Map(Int8, UInt64)) CODEC(ZSTD(1)),
    latency_connect SimpleAggregateFunction(sumMap, Map(Int8, UInt64)) CODEC(ZSTD(1)),
    latency_transfer SimpleAggregateFunction(sumMap, Map(Int8, UInt64)) CODEC(ZSTD(1)),
    latency_total SimpleAggregateFunction(sumMap, Map(Int8, UInt64)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toMonday(time)
PRIMARY KEY (pool, type, time)
ORDER BY (pool, type, time, domain, provider, reason, bounce_class, bounce_type)
SETTINGS
    non_replicated_deduplication_window = 1000,
    ttl_only_drop_parts = 1,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE MATERIALIZED VIEW events_to_domains TO domains_by_minute AS
WITH
    CAST(map(), 'Map(Int8, UInt64)') AS none,
    seconds -> if(seconds > 0, map(toInt8(ceil(4 * log2(least(greatest(seconds, 0.001), 1e9)))), toUInt64(1)), none)
        AS bucket
SELECT
    toStartOfMinute(time) AS time,
    pool,
    type,
    domain,
    provider,
    reason,
    bounce_class,
    bounce_type,
    toUInt64(1) AS rows,
    count,
    size AS bytes,
    length(recipients) AS recipients,
    attempt AS attempts,
    bucket(time_queue) AS latency_queue,
    bucket(time_connect) AS latency_connect,
    bucket(time_transfer) AS latency_transfer,
    bucket(time_total) AS latency_total
FROM events;

CREATE TABLE domains_by_hour AS domains_by_minute
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(time)
PRIMARY KEY (pool, type, time)
ORDER BY (pool, type, time, domain, provider, reason, bounce_class, bounce_type)
SETTINGS
    non_replicated_deduplication_window = 1000,
    ttl_only_drop_parts = 1,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE MATERIALIZED VIEW domains_to_hours TO domains_by_hour AS
SELECT * REPLACE (toStartOfHour(time) AS time) FROM domains_by_minute;

-- Columns with personal data are emptied before their rows go ([events] keep_personal), which an engine does only where
-- it may rewrite a part for its TTL. All rows of a part expire at the same moment (events/schema.py), so parts whose
-- rows are too old are dropped as before. A TTL that changes is worked out anew without rewriting anything.
ALTER TABLE events MODIFY SETTING ttl_only_drop_parts = 0, materialize_ttl_recalculate_only = 1;
