"""What limits came to, by the clock of an MX host of its own process; who owns a key."""

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import until

from common.limits.owners import owner_of
from common.subjects import bucket
from master.demo.world import World


@dataclass
class Host:
    """An MX host: a sink in a process of its own, and what it saw."""

    name: str
    trace: Path

    def _events(self) -> list[dict[str, Any]]:
        lines = self.trace.read_text().splitlines(keepends=True) if self.trace.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    @property
    def mails(self) -> list[float]:
        """When transactions began."""
        return [event["time"] for event in self._events() if event["what"] == "mail"]

    @property
    def opened(self) -> list[float]:
        """When connections came."""
        return [event["time"] for event in self._events() if event["what"] == "open"]

    @property
    def open_changes(self) -> list[tuple[float, int]]:
        """Time and by how much the number of open connections changed."""
        change = {"open": 1, "close": -1, "mail": 0}
        return [(event["time"], change[event["what"]]) for event in self._events()]

    @property
    def max_open(self) -> int:
        return max_sum(self.open_changes)


def max_sum(changes: list[tuple[float, int]]) -> int:
    """The highest that the sum of changes was, in the order of time."""
    now = most = 0
    for _, change in sorted(changes, key=lambda pair: pair[0]):
        now += change
        most = max(most, now)
    return most


def most_within(times: list[float], per: float) -> int:
    """The most in any window of ``per`` seconds."""
    times, start, most = sorted(times), 0, 0
    for end, time in enumerate(times):
        while time - times[start] >= per:
            start += 1
        most = max(most, end - start + 1)
    return most


def longest_gap(times: list[float]) -> float:
    """Seconds between one and the next, at most."""
    times = sorted(times)
    return max((b - a for a, b in itertools.pairwise(times)), default=0.0)


@contextlib.asynccontextmanager
async def host(world: World, address: str, name: str, *domains: str, wait: float = 0.0) -> AsyncIterator[Host]:
    """An MX host for these domains, which takes ``wait`` seconds for a message."""
    trace = world.folder / f"{name}.trace"
    process = subprocess.Popen(
        [sys.executable, "-m", "master.demo.sink", "--bind", f"{address}:{world.mx_port}", "--trace", str(trace),
         "--wait", str(wait)],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout
        await asyncio.to_thread(process.stdout.readline)
        process.stdout.close()
        world.dns.zone.add(name, "A", address)
        for domain in domains:
            world.dns.zone.add(domain, "MX", f"10 {name}.")
        yield Host(name, trace)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 10)


def domains_in_all_lanes(stem: str, lanes: int = 4, each: int = 1) -> list[str]:
    """Domains such that each of a small machine's lanes has some: they pass several workers."""
    found: dict[int, list[str]] = {lane: [] for lane in range(lanes)}
    for number in range(10_000):
        name = f"{stem}{number}.test"
        lane = bucket(name) % lanes
        if len(found[lane]) < each:
            found[lane].append(name)
        if all(len(names) == each for names in found.values()):
            break
    return [name for names in found.values() for name in names]


def owner_pid(world: World, key: str) -> int:
    """The process of the worker that owns a key."""
    owner = owner_of(key, world.instance["workers"])
    slot = owner.rpartition("-outbound-")[2].replace("-", ".")
    return next(pid for pid in worker_pids(world) if f"--slot\0{slot}\0" in Path(f"/proc/{pid}/cmdline").read_text())


def worker_pids(world: World) -> list[int]:
    """The worker processes of a world."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_text().split("\0") if entry.name.isdigit() else []
            if "outbound" in words and str(world.config_file) in words:
                found.append(int(entry.name))
    return found


async def arrived(one: Host, count: int, timeout: float) -> None:
    """Wait until so many transactions began."""
    await until(lambda: len(one.mails) >= count, timeout)
