"""Accepting: group commit without a timer beside a wait of 2 ms before each step: ``python -m bench.accepting``.

Sessions in closed loops hand 4 KB to ``Intake.submit``, in front of a real nats-server that syncs every write.
Rounds are interleaved and medians printed: figures of one run compare, those of two runs do not. Where strace
is installed a second, shorter pass counts the server's disk flushes; strace slows it, so its rates are not shown.
"""

import asyncio
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop

from common.broker import Broker
from common.event import Event, Type
from common.queue import streams
from common.queue.intake import Intake
from common.queue.room import Room
from master import nats_server
from master.sockets import free_port
from tests.support import PASSWORD, Nats, make_entry

MAX_STORE = 2 * 10**9
CONTENT = os.urandom(4096)
SESSIONS = (1, 5, 20, 60)
#: Seconds that a client needs from one 250 to the end of its next message, on average.
THINKING = (0.0, 0.001)
ROUNDS, SECONDS = 3, 1.5
GATHER = 0.002


class Timer(Intake):
    """Waits before each step, always."""

    sessions = 0

    def _next_step(self) -> list:
        raise NotImplementedError

    async def _steps(self) -> None:
        while self._waiting:
            await self._gather()
            await self._store(super()._next_step())

    async def _gather(self) -> None:
        await asyncio.sleep(GATHER)


class TimerOrAll(Timer):
    """The same, but goes at once when every session waits; the bench tells it how many there are."""

    async def _gather(self) -> None:
        end = time.monotonic() + GATHER
        while len(self._waiting) < self.sessions and time.monotonic() < end:
            await asyncio.sleep(GATHER / 20)


VARIANTS: dict[str, type[Intake]] = {"no timer": Intake, "2 ms": Timer, "2 ms or all": TimerOrAll}


@dataclass(frozen=True)
class Round:
    """Mails a second, and how long they waited for their 250 (ms)."""

    rate: float
    p50: float
    p95: float
    flushes: float
    """Of nats-server, per mail; 0 where they were not counted."""


class TracedNats(Nats):
    """A nats-server whose flushes strace writes down."""

    @property
    def trace(self) -> Path:
        return self.folder / "strace"

    def start(self) -> None:
        for name in ("run", "log", "nats"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        child = nats_server.child(self.folder, self.port, PASSWORD, MAX_STORE, 0)
        strace = ["strace", "-f", "--seccomp-bpf", "-e", "trace=fsync,fdatasync,openat", "-o", str(self.trace)]
        self.process = subprocess.Popen([*strace, *child.argv], env=child.environment | {"PATH": os.environ["PATH"]})

    def flushes(self) -> int:
        """So far: fsync calls, and files opened to be written in sync, which is done once each."""
        return len(re.findall(r"f(?:data)?sync\(|O_D?SYNC", self.trace.read_text()))


async def session(intake: Intake, think: float, end: float, waits: list[float]) -> None:
    """One client."""
    while (now := time.monotonic()) < end:
        entry = make_entry(content=None)
        row = Event(time=entry.accepted, type=Type.ACCEPTED, submission=entry.submission, sender=entry.sender)
        await intake.submit([entry], CONTENT, row)
        waits.append(time.monotonic() - now)
        if think:
            await asyncio.sleep(random.expovariate(1 / think))


async def measure(server: Nats, broker: Broker, kind: type[Intake], sessions: int, think: float, seconds: float) -> Round:
    """One round on empty streams."""
    for stream in ("MQ_default", "EVENTS"):
        await broker.api(f"STREAM.PURGE.{stream}")
    intake = kind(broker, Room(broker, MAX_STORE))
    if isinstance(intake, Timer):
        intake.sessions = sessions
    waits: list[float] = []
    before = server.flushes() if isinstance(server, TracedNats) else 0
    start = time.monotonic()
    await asyncio.gather(*(session(intake, think, start + seconds, waits) for _ in range(sessions)))
    rate = len(waits) / (time.monotonic() - start)
    flushes = (server.flushes() - before) / len(waits) if isinstance(server, TracedNats) else 0
    waits.sort()
    return Round(rate, waits[len(waits) // 2] * 1000, waits[len(waits) * 95 // 100] * 1000, flushes)


Key = tuple[float, int, str]


async def rounds(server: Nats, number: int, seconds: float) -> dict[Key, list[Round]]:
    """All cases, one after the other, ``number`` times."""
    found: dict[Key, list[Round]] = {}
    server.start()
    broker = server.broker()
    try:
        await broker.connect()
        await streams.ensure_surely(broker, ["default"], MAX_STORE)
        for _ in range(number):
            for think in THINKING:
                for sessions in SESSIONS:
                    for name, kind in VARIANTS.items():
                        one = await measure(server, broker, kind, sessions, think, seconds)
                        found.setdefault((think, sessions, name), []).append(one)
    finally:
        await broker.close()
        assert server.process
        server.process.terminate()
        server.process.wait()
    return found


async def run(folder: Path) -> None:
    """Measure and print the table."""
    timed = await rounds(Nats(folder / "timed", free_port()), ROUNDS, SECONDS)
    counted = await rounds(TracedNats(folder / "counted", free_port()), 1, SECONDS) if shutil.which("strace") else {}
    print(f"{'thinking':>8} {'sessions':>8}  {'':<12}{'accepted/s':>10}{'p50 ms':>8}{'p95 ms':>8}{'flushes/mail':>13}")
    for (think, sessions, name), many in timed.items():
        key = (think, sessions, name)
        flushes = f"{counted[key][0].flushes:.2f}" if counted else "-"
        print(
            f"{think * 1000:>5g} ms {sessions:>8}  {name:<12}{median(one.rate for one in many):>10.0f}"
            f"{median(one.p50 for one in many):>8.1f}{median(one.p95 for one in many):>8.1f}{flushes:>13}"
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="postjet-bench-") as folder:
        uvloop.run(run(Path(folder)))
