-- Transactions over time: delivered, deferred, bounced.
--
-- chart: delivered deferred bounced
-- limit: 1000
--
-- start: where the step begins (UTC); --step says how long it is
-- transactions: tries that ended: delivered + deferred + bounced
-- delivered: the receiver took the mail
-- deferred: it failed for now and is tried again
-- bounced: refused for good
-- expired: given up for its age; no try of its own
-- stopped: ended by an order
SELECT
    toStartOfInterval(toDateTime(time, 'UTC'), toIntervalSecond({step:UInt32})) AS start,
    sumIf(rows, type IN ('delivered', 'deferred', 'bounced')) AS transactions,
    sumIf(rows, type = 'delivered') AS delivered,
    sumIf(rows, type = 'deferred') AS deferred,
    sumIf(rows, type = 'bounced') AS bounced,
    sumIf(rows, type = 'expired') AS expired,
    sumIf(rows, type = 'stopped') AS stopped
FROM {source:Identifier}
WHERE type IN ('delivered', 'deferred', 'bounced', 'expired', 'stopped') /* AND what was asked for */
GROUP BY start
ORDER BY start WITH FILL
    FROM toStartOfInterval(toDateTime(intDiv({from:Int64}, 1000), 'UTC'), toIntervalSecond({step:UInt32}))
    TO toDateTime(intDiv({to:Int64}, 1000), 'UTC')
    STEP toIntervalSecond({step:UInt32})
LIMIT {limit:UInt32}
