"""Reports over a million events: ``python -m bench.reporting``; seconds of each, from the rollups and from the events.

An embedded ClickHouse is filled with a day of a sender's mail: accepted, tried, 84 of 100 tries delivered, others
deferred or refused with the words of large receivers, in which addresses, ids and hosts differ from reply to reply.
"""

import sys
import tempfile
import time
from pathlib import Path

from bench.recording import cpu
from events import report, schema
from events.report import Question
from events.store import Store
from tests.clickhouse_support import FOR_EVER, ClickHouse

EVENTS = 1_000_000
DAY = 86400
#: Its end lies some days back; the engine removes nothing of it.
END = int(time.time()) // 3600 * 3600 - 86400
REPLIES = [
    "4.7.1 Greylisted, please try again in @seconds seconds",
    "4.2.2 The recipient's inbox is out of storage space. Please direct the recipient to"
    " https://support.google.com/mail/?p=OverQuotaTemp @id.@seconds - gsmtp",
    "4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address"
    " [@ip      @seconds]. To protect our users from spam, mail sent from your IP address has been temporarily rate"
    " limited. @id - gsmtp",
    "4.7.0 [TSS04] Messages from @ip temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see"
    " https://postmaster.yahooinc.com/error-codes",
    "4.7.650 The mail server [@ip] has been temporarily rate limited due to IP reputation. For e-mail delivery"
    " information, see https://postmaster.live.com (S775) [Name=Protocol Filter Agent][AGT=PFA]"
    " [@host.prod.protection.outlook.com 2026-11-22T09:14:07.115Z @id]",
    "4.3.2 Too many connections from @ip, queue @id",
    "5.1.1 <@address>: Recipient address rejected: User unknown in virtual mailbox table",
    "5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email"
    " address for typos or unnecessary spaces. For more information, go to"
    " https://support.google.com/mail/?p=NoSuchUser @id.@seconds - gsmtp",
    "5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [@host.mail.protection.outlook.com @id]",
    "5.7.1 Service unavailable; Client host [@ip] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/@ip",
]
#: A day of events, made by the engine: number n to row n; hashes of n stand for chance.
FILL = """
INSERT INTO events (time, type, id, submission, delivery, attempt, pool, source_address, worker, sender, recipient,
    recipients, domain, site, provider, campaign, tags, size, interface, client_address, status, reason, phase, code,
    enhanced_code, text, mx_host, mx_address, tls_version, time_queue, time_dns, time_connect, time_transfer,
    time_total, bounce_class, bounce_type, count, stream_sequence, row_number)
WITH
    {replies:Array(String)} AS replies,
    intHash64(number) AS h1, intHash64(number + 1000000000) AS h2, intHash64(number + 2000000000) AS h3,
    toUInt32(pow(2000, (h1 % 1000000) / 1e6)) AS d,
    concat('domain', toString(d), '.example') AS named,
    concat('user', toString(h2 % 100000), '@', named) AS address,
    h2 % 1000 AS kind,
    multiIf(kind < 400, 'accepted', kind < 900, 'delivered', kind < 960, 'deferred', kind < 990, 'bounced',
        kind < 995, 'expired', 'rejected') AS what,
    what IN ('deferred', 'bounced', 'expired') AS failed,
    lower(hex(h1)) AS unique,
    replies[1 + (what = 'deferred' ? h3 % 6 : 6 + h3 % 4)] AS reply
SELECT
    {end:UInt32} - 86400 + (number * 86400 / {events:UInt32}), what, unique, unique, concat(unique, '-1'),
    if(what = 'delivered', 1 + (h3 % 20 = 0) + (h3 % 100 = 0), 1 + h3 % 8), ['default', 'bulk', 'mail'][1 + h3 % 3],
    concat('192.0.2.', toString(h2 % 8)), concat('outbound.', toString(h3 % 4)),
    concat('bounce+', unique, '@news', toString(h3 % 20), '.sender.example'), address,
    if(what = 'accepted', [address], []), named, concat('mx.', named),
    multiIf(d < 4, 'google', d < 8, 'microsoft', d < 12, 'yahoo', ''),
    concat('campaign-', toString(h3 % 30)), [concat('campaign-', toString(h3 % 30)), 'newsletter'], 4000 + h2 % 60000,
    'relay', concat('198.51.100.', toString(h3 % 5)),
    multiIf(what = 'delivered', 'delivered', what = 'deferred', 'deferred', failed, 'undeliverable', ''),
    if(failed, 'rejected', ''), if(failed, 'rcpt', 'dot'), multiIf(what = 'deferred', 451, failed, 550, 250),
    multiIf(what = 'deferred', '4.7.1', failed, '5.1.1', '2.0.0'),
    if(failed, replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(reply, '@address', address),
        '@ip', concat('192.0.2.', toString(h2 % 8))), '@seconds', toString(h2 % 300)),
        '@id', concat('d', unique, '-1fb', unique)), '@host', concat('DB5EUR03FT0', toString(h2 % 90))),
        concat('2.0.0 Ok: queued as ', unique)),
    concat('mx', toString(h3 % 4), '.', named), '203.0.113.9', if(h3 % 10 = 0, '', 'TLSv1.3'),
    exp(h1 % 10000 / 1500) / 100, 0.002, if(h2 % 3 = 0, 0.03 + h1 % 100 / 1000, 0), 0.05 + h1 % 1000 / 1000,
    exp(h1 % 10000 / 1500) / 50, if(failed, ['greylisted', 'rate-limited', 'invalid-recipient'][1 + h3 % 3], ''),
    if(failed, if(what = 'bounced', 'hard', 'soft'), ''), 1, number, 0
FROM numbers({first:UInt64}, {rows:UInt64})
"""
STEP = 50_000


def fill(store: Store) -> None:
    """A million events, by the way that the recorder's rows take: table, then rollups."""
    for first in range(0, EVENTS, STEP):
        parameters = {"end": END, "replies": REPLIES, "events": EVENTS, "first": first, "rows": STEP}
        store.client.command(FILL, parameters)


def measure(server: ClickHouse, store: Store) -> None:
    """A line for each report, each way it can be grouped, and each table that answers."""
    print(f"{'report':<13}{'by':<16}{'from':<17}{'rows':>5}{'seconds':>9}{'CPU seconds':>13}")
    slowest = most = 0.0
    for name, known in report.reports().items():
        for by in known.by or ("",):
            questions = [Question(start=END - DAY, end=END, by=by, raw=raw) for raw in (False, True)]
            prepared = [report.prepare(known, question) for question in questions]
            for asked in {asked.source: asked for asked in prepared}.values():
                used, started = cpu(server.process), time.perf_counter()
                rows = report.rows(store, asked)
                took, used = time.perf_counter() - started, cpu(server.process) - used
                slowest, most = max(slowest, took), max(most, used)
                print(f"{name:<13}{by:<16}{asked.source:<17}{len(rows):>5}{took:>9.3f}{used:>13.2f}", flush=True)
    print(f"\nslowest: {slowest:.3f} s by the clock; most CPU: {most:.2f} s, of two threads")


def run(folder: Path) -> None:
    """Fill, measure, print."""
    server = ClickHouse(folder)
    server.start()
    try:
        store = server.store("reports")
        schema.migrate(store.client, FOR_EVER)
        started = time.perf_counter()
        fill(store)
        [row] = store.query("SELECT count() AS n FROM events", {})
        print(f"{row['n']:,} events in {time.perf_counter() - started:.0f} s\n")
        if row["n"] != EVENTS:
            sys.exit("not all are there")
        measure(server, store)
    finally:
        server.kill()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="postjet-bench-") as folder:
        run(Path(folder))
