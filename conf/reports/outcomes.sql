-- Transactions, successful and failed, with rates of acceptance, deferral, bounce.
--
-- by: provider domain pool source_address campaign tag sender sender_domain worker site submission
-- chart: delivered deferred bounced
--
-- transactions: tries that ended: delivered + deferred + bounced
-- delivered: successful: the receiver took the mail
-- deferred: failed for now, to be tried again
-- bounced: failed for good
-- hard: of those bounced, where no mail will ever arrive
-- expired: given up for their age; no try of their own
-- accepted_percent: delivered, of all deliveries that came to an end: delivered + bounced + expired (percent)
-- deferred_percent: deferred, of all transactions (percent)
-- hard_percent: hard, of all deliveries that came to an end (percent)
SELECT
    {by:Identifier},
    sumIf(rows, type IN ('delivered', 'deferred', 'bounced')) AS transactions,
    sumIf(rows, type = 'delivered') AS delivered,
    sumIf(rows, type = 'deferred') AS deferred,
    sumIf(rows, type = 'bounced') AS bounced,
    sumIf(rows, type = 'bounced' AND bounce_type = 'hard') AS hard,
    sumIf(rows, type = 'expired') AS expired,
    if(delivered + bounced + expired = 0, 0, round(100 * delivered / (delivered + bounced + expired), 2)) AS accepted_percent,
    if(transactions = 0, 0, round(100 * deferred / transactions, 2)) AS deferred_percent,
    if(delivered + bounced + expired = 0, 0, round(100 * hard / (delivered + bounced + expired), 2)) AS hard_percent
FROM {source:Identifier}
WHERE type IN ('delivered', 'deferred', 'bounced', 'expired') /* AND what was asked for */
GROUP BY {by:Identifier}
ORDER BY transactions DESC, {by:Identifier}
LIMIT {limit:UInt32}
