-- The latest submissions: time, interface, source, length, and their outcome.
--
-- filters: pool campaign tag sender sender_domain interface client_address
-- needs: submission
--
-- time: when it was accepted (UTC)
-- submission: its id
-- interface: the listener it came by
-- client_address: who sent it
-- sender: the return path
-- campaign: its first tag
-- size: its length (bytes)
-- recipients: how many
-- transactions: tries so far
-- successful: recipients it was delivered to
-- failed: tries that failed, for now or for good
-- undeliverable: recipients it will not reach: bounced, expired, stopped, suppressed
WITH
    chosen AS
    (
        SELECT time, submission, interface, client_address, sender, campaign, size, recipients
        FROM {source:Identifier}
        WHERE type = 'accepted' /* AND what was asked for */
        ORDER BY time DESC, submission DESC
        LIMIT {limit:UInt32}
    ),
    outcomes AS
    (
        SELECT
            submission,
            countIf(type IN ('delivered', 'deferred', 'bounced')) AS transactions,
            countIf(type = 'delivered') AS successful,
            countIf(type IN ('deferred', 'bounced')) AS failed,
            countIf(status = 'undeliverable') AS undeliverable
        FROM events
        WHERE time >= fromUnixTimestamp64Milli({from:Int64})
            AND type IN ('delivered', 'deferred', 'bounced', 'expired', 'stopped', 'suppressed')
            AND submission IN (SELECT submission FROM chosen)
        GROUP BY submission
    )
SELECT
    time, submission, interface, client_address, sender, campaign, size, recipients,
    transactions, successful, failed, undeliverable
FROM chosen LEFT JOIN outcomes USING (submission)
ORDER BY time DESC, submission DESC
