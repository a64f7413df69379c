-- What came back: complaints per thousand, late bounces, unsubscriptions, replies.
--
-- by: provider domain pool source_address campaign tag sender sender_domain
-- chart: complaints
--
-- What strangers bring that is about no mail of ours (pool feedback, phase unmatched) is not counted.
--
-- delivered: deliveries that succeeded in this time; what came back may be about earlier ones
-- complaints: reports of recipients who called it spam; not those who called it no spam
-- complaints_per_thousand: of those delivered
-- bounced_later: reports of other systems that a mail they had taken failed
-- unsubscribed: recipients who asked for no more
-- replies: answers of people
-- autoreplies: answers of machines: out of office and the like
-- suppressed: recipients that mail is not sent to any more
SELECT
    {by:Identifier},
    sumIf(rows, type = 'delivered') AS delivered,
    sumIf(rows, type = 'complaint' AND reason != 'not-spam') AS complaints,
    if(delivered = 0, 0, round(1000 * complaints / delivered, 3)) AS complaints_per_thousand,
    sumIf(rows, type = 'dsn' AND reason = 'failed') AS bounced_later,
    sumIf(rows, type = 'unsubscribed') AS unsubscribed,
    sumIf(rows, type = 'reply') AS replies,
    sumIf(rows, type = 'autoreply') AS autoreplies,
    sumIf(rows, type = 'suppressed') AS suppressed
FROM {source:Identifier}
WHERE type IN ('delivered', 'complaint', 'dsn', 'unsubscribed', 'reply', 'autoreply', 'suppressed') AND pool != 'feedback'
    /* AND what was asked for */
GROUP BY {by:Identifier}
ORDER BY complaints DESC, delivered DESC, {by:Identifier}
LIMIT {limit:UInt32}
