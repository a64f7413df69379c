-- How long deliveries took: in the queue, connecting, transferring, in all.
--
-- by: provider domain pool source_address campaign tag sender sender_domain worker site
--
-- Half of the deliveries took p50 or less, 95 of 100 p95, 99 of 100 p99. A figure is the upper end of a bucket, so at
-- most 19 % above the true one; where a connection was used again there is no time to connect.
--
-- delivered: deliveries that succeeded
-- queue_p50: from acceptance, or the due time, to the start of the try that succeeded (seconds)
-- queue_p95: the same (seconds)
-- queue_p99: the same (seconds)
-- connect_p50: to open the connection, with greeting, EHLO and TLS (seconds)
-- connect_p95: the same (seconds)
-- connect_p99: the same (seconds)
-- transfer_p50: from MAIL to the reply to the message (seconds)
-- transfer_p95: the same (seconds)
-- transfer_p99: the same (seconds)
-- total_p50: from acceptance, or the due time, to delivery (seconds)
-- total_p95: the same (seconds)
-- total_p99: the same (seconds)
WITH
    (histogram, share) -> if(empty(histogram), nan, exp2(arrayFirst(
        bucket -> arraySum(arrayMap((b, n) -> if(b <= bucket, n, 0), mapKeys(histogram), mapValues(histogram)))
            >= share * arraySum(mapValues(histogram)),
        mapKeys(histogram)) / 4)) AS percentile
SELECT
    {by:Identifier},
    sum(rows) AS delivered,
    percentile(sumMap(latency_queue), 0.5) AS queue_p50,
    percentile(sumMap(latency_queue), 0.95) AS queue_p95,
    percentile(sumMap(latency_queue), 0.99) AS queue_p99,
    percentile(sumMap(latency_connect), 0.5) AS connect_p50,
    percentile(sumMap(latency_connect), 0.95) AS connect_p95,
    percentile(sumMap(latency_connect), 0.99) AS connect_p99,
    percentile(sumMap(latency_transfer), 0.5) AS transfer_p50,
    percentile(sumMap(latency_transfer), 0.95) AS transfer_p95,
    percentile(sumMap(latency_transfer), 0.99) AS transfer_p99,
    percentile(sumMap(latency_total), 0.5) AS total_p50,
    percentile(sumMap(latency_total), 0.95) AS total_p95,
    percentile(sumMap(latency_total), 0.99) AS total_p99
FROM {source:Identifier}
WHERE type = 'delivered' /* AND what was asked for */
    -- histograms of those that are shown only
    AND {by:Identifier} IN
    (
        SELECT {by:Identifier} FROM {source:Identifier}
        WHERE type = 'delivered' /* AND what was asked for */
        GROUP BY {by:Identifier}
        ORDER BY sum(rows) DESC, {by:Identifier}
        LIMIT {limit:UInt32}
    )
GROUP BY {by:Identifier}
ORDER BY delivered DESC, {by:Identifier}
