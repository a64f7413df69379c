-- Why mail failed: replies, each once, without the ids and addresses in them.
--
-- by: provider bounce_class domain pool source_address campaign tag sender sender_domain worker site reason phase
-- needs: said
--
-- type: deferred, bounced or expired
-- code: of the reply
-- enhanced_code: of the reply (RFC 3463)
-- times: how often
-- domains: at how many domains
-- last: when it was said last (UTC)
-- example: a delivery that was told so; 'postjet trace' has its story
-- said: what was said; <address>, <ip>, <host>, <domain>, <time>, <n>, <id> stand for what differs
SELECT
    {by:Identifier},
    type,
    code,
    enhanced_code,
    count() AS times,
    uniqExact(domain) AS domains,
    max(time) AS last,
    argMax(delivery, time) AS example,
    said
FROM {source:Identifier}
WHERE type IN ('deferred', 'bounced', 'expired') /* AND what was asked for */
GROUP BY {by:Identifier}, type, code, enhanced_code, said
ORDER BY times DESC, said, {by:Identifier}, type
LIMIT {limit:UInt32}
