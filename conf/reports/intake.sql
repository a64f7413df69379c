-- What came in: submissions, their recipients and bytes, and refusals.
--
-- by: interface client_address pool campaign tag sender sender_domain
-- chart: submissions
--
-- submissions: mails that were accepted
-- recipients: of those mails
-- bytes: their sizes added up (bytes)
-- mean_bytes: of one mail (bytes)
-- rejected: refusals: of a connection, a command or a message
SELECT
    {by:Identifier},
    sumIf(rows, type = 'accepted') AS submissions,
    sumIf(source.recipients, type = 'accepted') AS recipients,
    sumIf(source.bytes, type = 'accepted') AS bytes,
    if(submissions = 0, 0, round(bytes / submissions)) AS mean_bytes,
    sumIf(count, type = 'rejected') AS rejected
FROM {source:Identifier} AS source
WHERE type IN ('accepted', 'rejected') /* AND what was asked for */
GROUP BY {by:Identifier}
ORDER BY submissions DESC, rejected DESC, {by:Identifier}
LIMIT {limit:UInt32}
