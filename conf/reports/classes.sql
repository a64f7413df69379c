-- Which kinds of refusals there were: bounce class, hard or soft.
--
-- chart: failures
--
-- bounce_class: what kind of refusal; empty where nothing classified it
-- bounce_type: hard: no mail will ever arrive there; soft: another may
-- failures: failed transactions: deferred + bounced
-- deferred: failed for now
-- bounced: failed for good
-- share_percent: of all failures (percent)
SELECT
    bounce_class,
    bounce_type,
    sum(rows) AS failures,
    sumIf(rows, type = 'deferred') AS deferred,
    sumIf(rows, type = 'bounced') AS bounced,
    round(100 * failures / sum(sum(rows)) OVER (), 2) AS share_percent
FROM {source:Identifier}
WHERE type IN ('deferred', 'bounced') /* AND what was asked for */
GROUP BY bounce_class, bounce_type
ORDER BY failures DESC, bounce_class, bounce_type
LIMIT {limit:UInt32}
