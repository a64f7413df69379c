-- How many tries deliveries took, and how long those took that needed so many.
--
-- needs: attempt
-- chart: delivered
--
-- attempt: tries that were needed; 1: the first one succeeded
-- delivered: deliveries that succeeded with this try
-- share_percent: of all that were delivered (percent)
-- so_far_percent: delivered with this try or an earlier one (percent)
-- total_p50: from acceptance, or the due time, to delivery; half took this or less, up to 19 % above the true figure (seconds)
-- total_p95: 95 of 100 (seconds)
-- total_p99: 99 of 100 (seconds)
WITH
    (histogram, share) -> if(empty(histogram), nan, exp2(arrayFirst(
        bucket -> arraySum(arrayMap((b, n) -> if(b <= bucket, n, 0), mapKeys(histogram), mapValues(histogram)))
            >= share * arraySum(mapValues(histogram)),
        mapKeys(histogram)) / 4)) AS percentile
SELECT
    attempt,
    count() AS delivered,
    round(100 * delivered / sum(count()) OVER (), 2) AS share_percent,
    round(100 * sum(count()) OVER (ORDER BY attempt) / sum(count()) OVER (), 2) AS so_far_percent,
    percentile(sumMap(latency_total), 0.5) AS total_p50,
    percentile(sumMap(latency_total), 0.95) AS total_p95,
    percentile(sumMap(latency_total), 0.99) AS total_p99
FROM {source:Identifier}
WHERE type = 'delivered' /* AND what was asked for */
GROUP BY attempt
ORDER BY attempt
LIMIT {limit:UInt32}
