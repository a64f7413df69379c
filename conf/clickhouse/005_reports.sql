-- What reports and dashboards read (docs/how-to/reports.md).
--
-- events_counted: events one by one in the shape of the rollups, so that one query asks either; and with `said`, the
-- reply's text without what differs from one recipient, message and moment to the next: the same reply counts as one.
-- In this order, from the inside: the row's own host and domain; white space; addresses; times; IP addresses; codes,
-- which have columns of their own; host names with digits in them; amounts; ids; several ids in a row.
CREATE OR REPLACE VIEW events_counted AS
WITH
    CAST(map(), 'Map(Int8, UInt64)') AS none,
    seconds -> if(seconds > 0, map(toInt8(ceil(4 * log2(least(greatest(seconds, 0.001), 1e9)))), toUInt64(1)), none)
        AS bucket
SELECT
    time, type, id, submission, delivery, attempt, pool, source_address, worker, sender, recipient, domain, site, provider,
    campaign, tags, interface, client_address, status, reason, phase, code, enhanced_code, text, mx_host, mx_address,
    tls_version, bounce_class, bounce_type, size,
    lower(extract(sender, '@([^@]*)$')) AS sender_domain,
    toUInt64(1) AS rows,
    toUInt64(events.count) AS count,
    size AS bytes,
    length(events.recipients) AS recipients,
    attempt AS attempts,
    bucket(time_queue) AS latency_queue,
    bucket(time_connect) AS latency_connect,
    bucket(time_transfer) AS latency_transfer,
    bucket(time_total) AS latency_total,
    trim(replaceRegexpAll(
        replaceRegexpAll(
        replaceRegexpAll(
        replaceRegexpAll(
        replaceRegexpAll(
        replaceRegexpAll(
        replaceRegexpAll(
        replaceRegexpAll(
        replaceRegexpAll(
        replaceAll(replaceAll(text, mx_host, '<host>'), domain, '<domain>'),
        $$\s{2,}|[\t\r\n\f\v]$$, ' '),
        concat(
            $$<?hashed:[0-9a-f]{32}>?|<?(?:"[^"]*"|[^\s<>()\[\]"',\x3b:@/?&][^\s<>()\[\]",\x3b:@/?&]*)(?:@|%40)$$,
            $$(?:[\pL\pN._-]*(?:[\pL\pN]|<host>|<domain>)|\[[^\s\]]*\])>?$$), '<address>'),
        concat(
            $$\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?$$,
            $$|(?i)(?:\b(?:mon|tue|wed|thu|fri|sat|sun),? +)?(?:\b\d{1,2} +)?\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)$$,
            $$[a-z]* +\d{1,4}(?: +\d{4})?,? +\d{1,2}:\d\d(?::\d\d)?(?: +[+-]\d{4})?(?: +\d{4}\b)?$$,
            $$|\b(?:(?:\d{4}[/-]\d{1,2}[/-]\d{1,2}|\d{1,2}[/-]\d{1,2}[/-]\d{4}) )?\d{1,2}:\d\d:\d\d\b$$), '<time>'),
        concat(
            $$(?i)(?:\b\d{1,3}(?:\.\d{1,3}){3}|(?:\b(?:[0-9a-f]{1,4}:){2,7}(?::?[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*|:)$$,
            $$|(?:\b[0-9a-f]{1,4}|\B)::[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*|\b[0-9a-f]{1,4}::)(?:\.\d{1,3}){0,3})$$,
            $$(?:/\d{1,3}\b| \d{1,3}(\]))?$$), $$<ip>\1$$),
        $$(?:\b[245]\d\d[- ])?\b[245]\.\d{1,3}\.\d{1,3}(?:[ :]+|$)|^[245]\d\d[- ]$$, ''),
        $$(?i)(^|[^\w./<-])(?:[\w-]+\.)*[\w-]*\d[\w-]*((?:\.[a-z][a-z-]*)*\.(?:[a-z]{2,}|<domain>))$$, $$\1<host>\2$$),
        $$(?i)\b\d+(?:\.\d+)?( ?(?:ms|s|secs?|seconds?|mins?|minutes?|hours?|days?|[kmgt]?i?b|bytes?|messages?|recipients?|connections?)\b)$$,
            $$<n>\1$$),
        concat(
            $$(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b$$,
            $$|\b\d[A-Za-z0-9]{5}-[A-Za-z0-9]{6}(?:[A-Za-z0-9]{5})?-[A-Za-z0-9]{2}(?:[A-Za-z0-9]{2})?\b$$,
            $$|\b(?:[A-Za-z]*\d\w*[-_.])*_?(?-i:[A-Za-z]*\d+[A-Za-z]+\d[A-Za-z0-9]*|[A-Za-z]*\d[A-Za-z0-9]{7,}$$,
            $$|[0-9A-F]{9,}|[0-9a-f]{9,}|[A-Z0-9]{16,}|[A-Za-z]{8,}\d[A-Za-z0-9]*|[A-Za-z]*\d{5,}[A-Za-z]*|[a-z]{2,}\d{3,})\b$$,
            $$(?:-\w+|[._]\w*\d\w*\b)*=*$$), '<id>'),
        $$<id>(?:[-_.+/ ]*<id>)+$$, '<id>')) AS said
FROM events;
