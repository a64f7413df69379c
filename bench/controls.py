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
WRONG, FINE = ("wrong", "demo"), ("fine",)
BATCH = 500
#: By what the mail is named.
BY = {
    "campaign": "wrong", "tag": "demo", "sender": SENDER, "domain": SLOW, "header": "x-job=wrong", "pool": "default",
}  # fmt: skip


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


async def fill(broker: Broker, count: int, size: int, tags: tuple[str, ...] = WRONG) -> None:
    """Put a campaign into the queue: the one that is wrong, or another's to the same server."""
    sender, domain = (SENDER, SLOW) if tags == WRONG else (f"other@{FAST}", f"other.{SLOW}")
    started, text = time.monotonic(), base64.encodebytes(os.urandom(size * 3 // 4))
    stored = content.store(make_message(0, sender=SENDER) + text)

    async def put(numbers: range) -> None:
        for first in numbers[::BATCH]:
            now, batch = time.time(), []
            for number in range(first, min(first + BATCH, numbers.stop)):
                entry = Entry(
                    submission=new_id(), number=1, sender=sender, recipient=f"r{number}@{domain}", domain=domain,
                    accepted=now, expires=now + 86400, size=size, content=stored, tags=tags,
                    message_id=f"<{number}@x.test>", interface="relay", client_address="127.0.0.1",
                    headers={"x-job": tags[0]},
                )  # fmt: skip
                batch.append(with_id(entry_subject("q", entry), entry.pack(), entry.id))
            await broker.store(batch)

    # one makes a batch while the broker stores the other's
    await asyncio.gather(put(range(count // 2)), put(range(count // 2, count)))
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


async def bench(count: int, size: int, rate: float, workers: int, what: str, by: str, others: int) -> None:
    settings = {
        "nats": {"max_store": "40GB"}, "pools.default": {"workers": workers}, "delivery": {"connections": 20},
        "log": {"level": "warning"},
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="postjet-controls-") as folder:
        async with World(Path(folder), sinks=2, settings=settings) as world:
            slow, fast = world.sinks
            slow.rules.append(Rule(phase="rcpt", wait=5.0, reply="450 4.2.0 Later"))
            world.add_domain(SLOW, slow)
            world.add_domain(f"other.{SLOW}", slow)
            world.add_domain(FAST, fast)
            async with connected(instance.find(world.config), ["default"], "bench") as broker:
                named = [f"--{by}", BY[by]]
                if others:
                    await fill(broker, others, size, FINE)

                async def measure(*order: str) -> None:
                    async with flowing(world, fast, rate, order[0], count):
                        said = await postjet(world, *order, *named)
                    print(said, await left(broker), memory(Path(folder)), flush=True)

                if what in ("stop", "all"):
                    await fill(broker, count, size)
                    await measure("stop", "--reason", "bench")
                    await postjet(world, "resume", *named)
                if what in ("pause", "all"):
                    await fill(broker, count, size)
                    await measure("pause", "--reason", "bench")
                    await measure("resume")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=4096, help="bytes of each mail")
    parser.add_argument("--rate", type=float, default=50, help="mails of others each second")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--what", choices=["stop", "pause", "all"], default="all", help="pause: and resume")
    parser.add_argument("--by", choices=list(BY), default="campaign", help="what the order matches")
    parser.add_argument("--others", type=int, default=0, help="mails of another campaign that lie in the queue too")
    asyncio.run(bench(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
