"""Accepting: group commit without a timer beside waits of 2 ms before each step: ``python -m bench.accepting``.

Sessions in closed loops hand 4 KB to ``Intake.submit``, in front of a real nats-server that syncs every write.
Rounds are interleaved and medians printed, of the ratio to the first variant in the same round too: figures of one
run compare, those of two runs do not. "the product" is what decision 001 calls "2 ms or returned". Where strace is
installed a second pass makes each flush of the disk take longer, as many disks do, and counts them.
"""

import asyncio
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import uvloop

from common.broker import Broker
from common.event import Event, Type
from common.ids import new_id
from common.queue import streams
from common.queue.finish import Finisher
from common.queue.intake import GATHER, Intake
from common.queue.lanes import Lanes
from common.queue.room import Room
from common.queue.take import Taker
from master import nats_server
from master.sockets import free_port
from tests.support import PASSWORD, Nats, make_entry, until

MAX_STORE = 2 * 10**9
CONTENT = os.urandom(4096)
SESSIONS = (1, 5, 20, 60)
#: Rounds enough that each variant is first, second … as often as the others.
ROUNDS, SECONDS = 4, 0.5
#: Microseconds by which a flush takes longer on the slow disk.
DELAY = 1000


class NoTimer(Intake):
    """Waits for nobody."""

    async def _gather(self) -> None:
        pass


class Timer(Intake):
    """Waits before each step, whoever is there."""

    async def _gather(self) -> None:
        await asyncio.sleep(GATHER)


VARIANTS: dict[str, type[Intake]] = {
    "no timer": NoTimer,
    "2 ms": Timer,
    "the product": Intake,
}


class Situation(NamedTuple):
    """What is round the intake."""

    name: str
    thinking: float
    """Seconds that a client needs from one 250 to the end of its next message, on average."""
    drained: bool
    """Another process empties the queue, as workers would: rows and acks cost the broker flushes too."""


SITUATIONS = (
    Situation("at once", 0.0, False),
    Situation("thinking 1 ms", 0.001, False),
    Situation("1 ms, drained", 0.001, True),
)


class Round(NamedTuple):
    """Mails a second, how long they waited for their 250 (ms), flushes of nats-server per mail accepted."""

    rate: float
    p50: float
    p95: float
    flushes: float


@dataclass
class SlowNats(Nats):
    """A nats-server whose flushes strace delays and writes down."""

    @property
    def _trace(self) -> Path:
        return self.folder / "strace"

    def start(self) -> None:
        for name in ("run", "log", "nats"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        child = nats_server.child(self.folder, self.port, PASSWORD, MAX_STORE, 0)
        strace = ["strace", "-I2", "-f", "--seccomp-bpf", "-o", str(self._trace)]
        strace += ["-e", "trace=fsync,fdatasync,openat", "-e", f"inject=fsync,fdatasync:delay_exit={DELAY}"]
        self.process = subprocess.Popen([*strace, *child.argv], env=child.environment | {"PATH": os.environ["PATH"]})

    def flushes(self) -> int:
        """So far: fsync calls, and files opened to be written in sync (not delayed), which is done once each."""
        return len(re.findall(r"f(?:data)?sync\(|O_D?SYNC", self._trace.read_text()))


async def session(intake: Intake, thinking: float, end: float, waits: list[float]) -> None:
    """One client."""
    while (now := time.monotonic()) < end:
        entry = make_entry(content=None)
        row = Event(time=entry.accepted, type=Type.ACCEPTED, submission=entry.submission, sender=entry.sender)
        await intake.submit([entry], CONTENT, row)
        waits.append(time.monotonic() - now)
        if thinking:
            await asyncio.sleep(random.expovariate(1 / thinking))


async def drain(port: int) -> None:
    """Take and finish entries, for ever: a worker that delivers at once."""
    broker = Nats(Path(), port).broker()
    await broker.connect()
    taker = Taker(broker, "default")
    finisher = Finisher(broker, "default", taker)
    lanes = Lanes(broker, "default", "bench", new_id(), taker.read, taker.leave, taker.holding)
    await taker.start()
    running = {asyncio.create_task(lanes.keep())}
    while True:
        taken = await taker.take()
        row = Event(time=time.time(), type=Type.DELIVERED, submission=taken.entry.submission, delivery=taken.entry.id)
        task = asyncio.create_task(finisher.done(taken, row))
        running.add(task)
        task.add_done_callback(running.discard)


async def measure(server: Nats, broker: Broker, situation: Situation, sessions: int, name: str) -> Round:
    """One round on empty streams."""
    for stream in ("MQ_default", "EVENTS"):
        await broker.api(f"STREAM.PURGE.{stream}")
    intake = VARIANTS[name](broker, Room(broker, MAX_STORE))
    waits: list[float] = []
    before = server.flushes() if isinstance(server, SlowNats) else 0
    start = time.monotonic()
    await asyncio.gather(*(session(intake, situation.thinking, start + SECONDS, waits) for _ in range(sessions)))
    rate = len(waits) / (time.monotonic() - start)
    flushes = (server.flushes() - before) / len(waits) if isinstance(server, SlowNats) else 0
    waits.sort()
    return Round(rate, waits[len(waits) // 2] * 1000, waits[len(waits) * 95 // 100] * 1000, flushes)


Case = tuple[Situation, int, str]


async def rounds(server: Nats) -> dict[Case, list[Round]]:
    """All cases, one after the other, ROUNDS times."""
    found: dict[Case, list[Round]] = {}
    server.start()
    broker = server.broker()
    try:
        await broker.connect()
        await streams.ensure_surely(broker, ["default"], MAX_STORE)
        for situation in SITUATIONS:
            async with _drainer(server, broker) if situation.drained else nullcontext():
                for case in _cases():
                    found.setdefault((situation, *case), []).append(await measure(server, broker, situation, *case))
    finally:
        await broker.close()
        assert server.process
        server.process.terminate()
        server.process.wait()
    return found


@asynccontextmanager
async def _drainer(server: Nats, broker: Broker) -> AsyncIterator[None]:
    async def reads() -> bool:
        return bool((await broker.api("STREAM.INFO.MQ_default"))["state"]["consumer_count"])

    process = subprocess.Popen([sys.executable, "-m", "bench.accepting", str(server.port)])
    try:
        await until(reads)
        yield
    finally:
        process.kill()
        process.wait()


def _cases() -> Iterator[tuple[int, str]]:
    """Sessions and variant, round by round; each round begins with another variant."""
    names = deque(VARIANTS)
    for _ in range(ROUNDS):
        yield from ((sessions, name) for sessions in SESSIONS for name in tuple(names))
        names.rotate()


def report(results: dict[Case, list[Round]]) -> None:
    """Print a table."""
    print(f"{'':<15}{'sessions':>8}  {'':<17}{'accepted/s':>10}{'ratio':>7}{'p50 ms':>8}{'p95 ms':>8}  flushes/mail")
    for (situation, sessions, name), many in results.items():
        first = results[situation, sessions, next(iter(VARIANTS))]
        ratio = median(one.rate / other.rate for one, other in zip(many, first, strict=True))
        rate, p50, p95, flushes = (median(values) for values in zip(*many, strict=True))
        print(
            f"{situation.name:<15}{sessions:>8}  {name:<17}{rate:>10.0f}{ratio:>7.2f}{p50:>8.1f}{p95:>8.1f}"
            f"{f'{flushes:.2f}' if flushes else '-':>14}"
        )


async def run(folder: Path) -> None:
    """Measure and print."""
    print("this disk", flush=True)
    report(await rounds(Nats(folder / "fast", free_port())))
    if shutil.which("strace"):
        print(f"\neach flush {DELAY} µs longer", flush=True)
        report(await rounds(SlowNats(folder / "slow", free_port())))


if __name__ == "__main__":
    if sys.argv[1:]:
        uvloop.run(drain(int(sys.argv[1])))
    with tempfile.TemporaryDirectory(prefix="postjet-bench-") as folder:
        uvloop.run(run(Path(folder)))
