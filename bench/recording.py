"""Recording: events a second, and CPU seconds of each process, by rows to a message: ``python -m bench.recording``.

EVENTS of a real nats-server is filled with rows as mail makes them, then one recorder, a process of its own, puts
them into an embedded ClickHouse. What counts is the recorder's CPU time: it has to do 20,000 rows with less than one
core. The three processes share the machine's cores, so rows a second on the clock are fewer on two cores than on four.
"""

import asyncio
import gc
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from common.broker import Broker, Message
from common.config import Events
from common.event import Event, Status, Type, pack
from common.ids import new_id
from common.queue import streams
from common.role import GC
from events import schema
from events.recorder import Recorder
from events.store import Store
from master.sockets import free_port
from tests.clickhouse_support import ClickHouse
from tests.support import Nats

#: Rows to a message, and rows in all.
CASES = ((1, 40_000), (3, 60_000), (10, 200_000), (100, 200_000))
DOMAINS = [f"domain{i}.example" for i in range(2000)]
WEIGHTS = [1 / (i + 1) for i in range(len(DOMAINS))]
#: Publishes under way at the same time.
AT_ONCE = 500


def rows(count: int) -> list[Event]:
    """So many events of mails to few large and many small domains: accepted, delivered, a tenth deferred."""
    found: list[Event] = []
    now = time.time()
    for domain in random.choices(DOMAINS, WEIGHTS, k=count // 2 + 1):
        submission, user = new_id(), random.randrange(10**6)
        mail = {
            "submission": submission, "pool": "default", "sender": f"bounce+{user}@news.sender.example",
            "campaign": f"campaign-{user % 7}", "tags": (f"campaign-{user % 7}",), "size": 4096 + user % 1000,
            "message_id": f"<{submission}@mta1.example.net>", "priority": 4, "interface": "relay",
            "client_address": "192.0.2.17",
        }  # fmt: skip
        found.append(Event(time=now, type=Type.ACCEPTED, recipients=(f"user{user}@{domain}",), **mail))  # type: ignore[arg-type]
        deferred = user % 10 == 0
        found.append(
            Event(
                time=now + random.random(), type=Type.DEFERRED if deferred else Type.DELIVERED,
                status=Status.DEFERRED if deferred else Status.DELIVERED, delivery=f"{submission}-1", attempt=1,
                worker="outbound-0", recipient=f"user{user}@{domain}", domain=domain, site=f"mx.{domain}",
                reason="greylisted" if deferred else "", phase="rcpt" if deferred else "dot",
                code=451 if deferred else 250, enhanced_code="4.7.1" if deferred else "2.0.0",
                text="4.7.1 Greylisted, try again later" if deferred else f"2.0.0 Ok: queued as {new_id()}",
                mx_host=f"mx1.{domain}", mx_address="198.51.100.25", tls_version="TLSv1.3",
                tls_cipher="TLS_AES_256_GCM_SHA384", signatures=("news.sender.example:s1:rsa-sha256",),
                next_attempt=now + 300 if deferred else 0, time_queue=random.random(), time_dns=0.002,
                time_connect=0.04, time_transfer=0.11, time_total=random.lognormvariate(0, 2), **mail,  # type: ignore[arg-type]
            )
        )  # fmt: skip
    return found[:count]


async def fill(broker: Broker, count: int, each: int) -> None:
    """``count`` rows into EVENTS, ``each`` to a message."""
    events = rows(count)
    messages = [
        Message("e.default", pack(part), {"Nats-Msg-Id": f"rows.{part[0].id}"})
        for part in (events[i : i + each] for i in range(0, count, each))
    ]
    for i in range(0, len(messages), AT_ONCE):
        await asyncio.gather(*(broker.put(message, timeout=60) for message in messages[i : i + AT_ONCE]))


def cpu(process: "subprocess.Popen[bytes] | None") -> float:
    """CPU seconds so far of a process."""
    assert process
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def record(port: int, url: str) -> None:
    """Record until nothing is left, as a role does; print seconds and CPU seconds of that."""
    gc.freeze()
    gc.set_threshold(*GC)
    broker, stopping = Nats(Path(), port).broker(), asyncio.Event()
    stopping.set()
    await broker.connect()
    store = Store(url)
    store.client  # noqa: B018  connected before the clock runs
    clock, used = time.monotonic(), time.process_time()
    await Recorder(broker, store, stopping).run()
    print(time.monotonic() - clock, time.process_time() - used)
    await broker.close()


async def measure(server: Nats, clickhouse: ClickHouse, each: int, count: int) -> None:
    """One line of the table."""
    broker = server.broker()
    await broker.connect()
    await streams.ensure_surely(broker, ["default"], 2 * 10**9)
    await broker.api("STREAM.PURGE.EVENTS")
    await fill(broker, count, each)
    size = (await broker.api("STREAM.INFO.EVENTS"))["state"]["bytes"]
    await broker.close()
    name = f"rows{each}"
    store = clickhouse.store(name)
    schema.migrate(store.client, Events())
    before = cpu(server.process), cpu(clickhouse.process)
    command = [sys.executable, "-m", "bench.recording", str(server.port), clickhouse.database_url(name)]
    done = await asyncio.to_thread(subprocess.run, command, check=True, stdout=subprocess.PIPE)
    seconds, own = map(float, done.stdout.split())
    nats, database = cpu(server.process) - before[0], cpu(clickhouse.process) - before[1]
    assert store.query("SELECT count() AS n FROM events", {}) == [{"n": count}]
    store.close()
    print(
        f"{each:>8}{count:>9}{size / count:>9.0f}{count / seconds:>12.0f}{count / own:>14.0f}"
        f"{own:>10.2f}{nats:>8.2f}{database:>12.2f}",
        flush=True,
    )


async def run(folder: Path) -> None:
    """Measure and print."""
    server, clickhouse = Nats(folder / "nats", free_port()), ClickHouse(folder / "clickhouse")
    server.start()
    clickhouse.start()
    print("rows to             bytes       rows/s  rows/CPU s of       CPU seconds of")
    print("message     rows  per row   by the clock  recorder  recorder    nats  ClickHouse")
    try:
        for each, count in CASES:
            await measure(server, clickhouse, each, count)
    finally:
        server.kill()
        clickhouse.kill()


if __name__ == "__main__":
    if sys.argv[1:]:
        uvloop.run(record(int(sys.argv[1]), sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory(prefix="postjet-bench-") as folder:
            uvloop.run(run(Path(folder)))
