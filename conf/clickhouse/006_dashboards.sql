-- Charts for ClickHouse's own /dashboard page, and for whatever else asks for rows of dashboard, title and query. A query
-- has the parameters rounding (seconds of a point; 60 at least, as the rollup has it) and seconds (how far to look back)
-- and gives t, seconds since 1970, and the values.
CREATE OR REPLACE VIEW dashboards AS
SELECT row.1 AS dashboard, row.2 AS title, row.3 AS query
FROM (SELECT arrayJoin([
('Mail', 'Tries by outcome', $$
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    sumIf(rows, type = 'delivered') AS delivered,
    sumIf(rows, type = 'deferred') AS deferred,
    sumIf(rows, type = 'bounced') AS bounced,
    sumIf(rows, type = 'expired') AS expired
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type IN ('delivered', 'deferred', 'bounced', 'expired')
GROUP BY t
ORDER BY t WITH FILL STEP greatest({rounding:UInt32}, 60)$$),
('Mail', 'Taken in, recipients', $$
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    sumIf(r.recipients, type = 'accepted') AS recipients
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type = 'accepted'
GROUP BY t
ORDER BY t WITH FILL STEP greatest({rounding:UInt32}, 60)$$),
('Mail', 'Refused at the door', $$
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    sum(r.count) AS refusals
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type = 'rejected'
GROUP BY t
ORDER BY t WITH FILL STEP greatest({rounding:UInt32}, 60)$$),
('Mail', 'Accepted, of deliveries that ended (%)', $$
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    100 * sumIf(rows, type = 'delivered') / sum(rows) AS accepted
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type IN ('delivered', 'bounced', 'expired')
GROUP BY t
ORDER BY t$$),
('Mail', 'Deferred, of tries (%)', $$
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    100 * sumIf(rows, type = 'deferred') / sum(rows) AS deferred
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type IN ('delivered', 'deferred', 'bounced')
GROUP BY t
ORDER BY t$$),
('Mail', 'Hard bounces, of deliveries that ended (%)', $$
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    100 * sumIf(rows, type = 'bounced' AND bounce_type = 'hard') / sum(rows) AS hard
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type IN ('delivered', 'bounced', 'expired')
GROUP BY t
ORDER BY t$$),
('Mail', 'Time to delivery (s)', $$
WITH (histogram, share) -> if(empty(histogram), nan, exp2(arrayFirst(
    bucket -> arraySum(arrayMap((b, n) -> if(b <= bucket, n, 0), mapKeys(histogram), mapValues(histogram)))
        >= share * arraySum(mapValues(histogram)),
    mapKeys(histogram)) / 4)) AS percentile
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    percentile(sumMap(latency_total), 0.5) AS p50,
    percentile(sumMap(latency_total), 0.95) AS p95,
    percentile(sumMap(latency_total), 0.99) AS p99
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type = 'delivered'
GROUP BY t
ORDER BY t$$),
('Mail', '95 of 100 deliveries, by phase (s)', $$
WITH (histogram, share) -> if(empty(histogram), nan, exp2(arrayFirst(
    bucket -> arraySum(arrayMap((b, n) -> if(b <= bucket, n, 0), mapKeys(histogram), mapValues(histogram)))
        >= share * arraySum(mapValues(histogram)),
    mapKeys(histogram)) / 4)) AS percentile
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    percentile(sumMap(latency_queue), 0.95) AS queue,
    percentile(sumMap(latency_connect), 0.95) AS connect,
    percentile(sumMap(latency_transfer), 0.95) AS transfer
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type = 'delivered'
GROUP BY t
ORDER BY t$$),
('Mail', 'Tries to a delivery, on average', $$
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    sum(r.attempts) / sum(rows) AS tries
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type = 'delivered'
GROUP BY t
ORDER BY t$$),
('Mail', 'Delivered over TLS (%)', $$
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    100 * sumIf(rows, tls_version != '') / sum(rows) AS tls
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type = 'delivered'
GROUP BY t
ORDER BY t$$),
-- by the time they came, often days after the mail: of what is delivered in that minute they are no share
('Mail', 'Complaints', $$
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    sum(rows) AS complaints
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type = 'complaint' AND reason != 'not-spam' AND pool != 'feedback'
GROUP BY t
ORDER BY t WITH FILL STEP greatest({rounding:UInt32}, 60)$$),
('Mail', 'Sent (bytes)', $$
SELECT
    toStartOfInterval(time, toIntervalSecond(greatest({rounding:UInt32}, 60)))::INT AS t,
    sum(r.bytes) AS sent
FROM traffic_by_minute AS r
WHERE time >= now() - {seconds:UInt32} AND type = 'delivered'
GROUP BY t
ORDER BY t WITH FILL STEP greatest({rounding:UInt32}, 60)$$)
]) AS row);
