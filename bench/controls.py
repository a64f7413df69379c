"""How long it takes to stop, hold and resume the queued mail of one campaign, while other mail flows.

Everything is a running ``postjet up``; the campaign is put into its queue straight, to a domain whose server lets
everybody wait. Others' mail comes over SMTP all the while. ``make controls``
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from common import content, instance
from common.broker import Broker, with_id
from common.entry import Entry
from common.ids import new_id
from common.role import connected
from common.subjects import entry as entry_subject
from master.demo.generator import make_message, send_all
from master.demo.sink import Sink
from master.demo.sink_script import Rule
from master.demo.world import World

SENDER, SLOW, FAST = "news@sender.test", "slow.test", "fast.test"
BATCH = 500


@dataclass
class Others:
    """Mail of others while something goes on."""

    world: World
    sink: Sink
    rate: float
    sent: int = 0
    slowest: float = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def flow(self) -> None:
        while True:
            task = asyncio.create_task(self._send())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(1 / self.rate)

    async def _send(self) -> None:
        started, self.sent = time.monotonic(), self.sent + 1
        mail = (SENDER, [f"r@{FAST}"], make_message(1000, recipient=f"r@{FAST}"))
        await send_all([mail], "127.0.0.1", self.world.smtp_port)
        self.slowest = max(self.slowest, time.monotonic() - started)


@asynccontextmanager
async def flowing(world: World, sink: Sink, rate: float, what: str, count: int) -> AsyncIterator[None]:
    """Measure what is done in it."""
    others, before, started = Others(world, sink, rate), len(sink.received), time.monotonic()
    used = cpu(world.folder)
    task = asyncio.create_task(others.flow())
    try:
        yield
    finally:
        took = time.monotonic() - started
        task.cancel()
        arrived = len(sink.received) - before
        print(
            f"{what}: {count} in {took:.1f} s, {count / took:.0f}/s; others: {others.sent} sent, {arrived} arrived "
            f"meanwhile, slowest 250 after {others.slowest:.2f} s",
            flush=True,
        )
        spent = {name: seconds - used.get(name, 0) for name, seconds in cpu(world.folder).items()}
        print("  CPU, microseconds a mail:", {name: round(s / count * 1e6) for name, s in spent.items()}, flush=True)


async def fill(broker: Broker, count: int, size: int) -> None:
    """Put the campaign into the queue."""
    started, text = time.monotonic(), base64.encodebytes(os.urandom(size * 3 // 4))
    stored = content.store(make_message(0, sender=SENDER) + text)
    for first in range(0, count, BATCH):
        now, batch = time.time(), []
        for number in range(first, min(first + BATCH, count)):
            entry = Entry(
                submission=new_id(), number=1, sender=SENDER, recipient=f"r{number}@{SLOW}", domain=SLOW, accepted=now,
                expires=now + 86400, size=size, content=stored, tags=("wrong", "demo"), message_id=f"<{number}@x.test>",
                interface="relay", client_address="127.0.0.1",
            )  # fmt: skip
            batch.append(with_id(entry_subject("q", entry), entry.pack(), entry.id))
        await broker.store(batch)
    took = time.monotonic() - started
    print(f"filled: {count} of {len(stored)} bytes in {took:.1f} s", flush=True)


async def postjet(world: World, *arguments: str) -> dict[str, object]:
    command = [sys.executable, "-m", "master", "--config", str(world.config_file), *arguments, "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"postjet {' '.join(arguments)} failed")
    found: dict[str, object] = json.loads(out)
    return found


async def left(broker: Broker) -> dict[str, int]:
    found = {}
    for kind in "qsh":
        page = await broker.page("MQ_default", {"seq": 1, "batch": 1, "next_by_subj": f"{kind}.default.>"})
        found[kind] = page[0].following + 1 if page else 0
    return found


def cpu(folder: Path) -> dict[str, float]:
    """Seconds of CPU that each process of the instance has used."""
    found = {}
    for pid, name in processes(folder).items():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def memory(folder: Path) -> dict[str, int]:
    """MB resident of each process of the instance."""
    found = {}
    for pid, name in processes(folder).items():
        with contextlib.suppress(OSError):
            found[name] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 // 10**6
    return found


def processes(folder: Path) -> dict[int, str]:
    """The instance's processes by their pid."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_text().split("\0") if entry.name.isdigit() else []
            if any(str(folder) in word for word in words):
                roles = ("outbound", "smtpd_ingress", "events.embedded", "events")
                found[int(entry.name)] = next((role for role in roles if role in words), Path(words[0]).name)
    return found


async def bench(count: int, size: int, rate: float, workers: int, what: str) -> None:
    settings = {
        "nats": {"max_store": "40GB"}, "pools.default": {"workers": workers}, "delivery": {"connections": 20},
        "log": {"level": "warning"},
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="postjet-controls-") as folder:
        async with World(Path(folder), sinks=2, settings=settings) as world:
            slow, fast = world.sinks
            slow.rules.append(Rule(phase="rcpt", wait=5.0, reply="450 4.2.0 Later"))
            world.add_domain(SLOW, slow)
            world.add_domain(FAST, fast)
            async with connected(instance.find(world.config), ["default"], "bench") as broker:
                await fill(broker, count, size)
                async with flowing(world, fast, rate, "stop", count):
                    said = await postjet(world, "stop", "--campaign", "wrong", "--reason", "bench")
                print(said, await left(broker), memory(Path(folder)), flush=True)
                if what == "stop":
                    return
                await postjet(world, "resume", "--campaign", "wrong")
                await fill(broker, count, size)
                async with flowing(world, fast, rate, "pause", count):
                    said = await postjet(world, "pause", "--campaign", "wrong", "--reason", "bench")
                print(said, await left(broker), memory(Path(folder)), flush=True)
                async with flowing(world, fast, rate, "resume", count):
                    said = await postjet(world, "resume", "--campaign", "wrong")
                print(said, await left(broker), memory(Path(folder)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=4096, help="bytes of each mail")
    parser.add_argument("--rate", type=float, default=50, help="mails of others each second")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--what", choices=["stop", "all"], default="all")
    asyncio.run(bench(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
