-- How much mail left encrypted, and with which version of TLS.
--
-- by: provider domain pool source_address campaign tag sender sender_domain worker site
-- needs: tls_version
-- chart: encrypted clear
--
-- delivered: deliveries that succeeded
-- encrypted: of those, over TLS
-- clear: of those, without
-- encrypted_percent: encrypted, of those delivered (percent)
-- tls13: with TLS 1.3
-- tls12: with TLS 1.2
-- older: with what RFC 8996 has retired
SELECT
    {by:Identifier},
    sum(rows) AS delivered,
    sumIf(rows, tls_version != '') AS encrypted,
    sumIf(rows, tls_version = '') AS clear,
    round(100 * encrypted / delivered, 2) AS encrypted_percent,
    sumIf(rows, tls_version = 'TLSv1.3') AS tls13,
    sumIf(rows, tls_version = 'TLSv1.2') AS tls12,
    encrypted - tls13 - tls12 AS older
FROM {source:Identifier}
WHERE type = 'delivered' /* AND what was asked for */
GROUP BY {by:Identifier}
ORDER BY delivered DESC, {by:Identifier}
LIMIT {limit:UInt32}
