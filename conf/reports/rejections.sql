-- Whom listeners refused, at what, and why.
--
-- by: client_address interface phase
-- needs: said
--
-- phase: the command that was refused, or where in the dialogue
-- code: our reply
-- times: how often
-- senders: how many different ones
-- last: when it was last (UTC)
-- said: our words; <address>, <ip> and so on stand for what differs
SELECT
    {by:Identifier},
    phase,
    code,
    sum(count) AS times,
    uniqExact(sender) AS senders,
    max(time) AS last,
    said
FROM {source:Identifier}
WHERE type = 'rejected' /* AND what was asked for */
GROUP BY {by:Identifier}, phase, code, said
ORDER BY times DESC, said, {by:Identifier}
LIMIT {limit:UInt32}
