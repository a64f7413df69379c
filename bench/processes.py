"""CPU and memory of process trees, from /proc."""

import asyncio
import contextlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

_TICK = 1 / os.sysconf("SC_CLK_TCK")
#: Seconds between two looks.
_PAUSE = 2.0
ENDED = "(ended)"


class Process(NamedTuple):
    """One process as it is now."""

    pid: int
    parent: int
    started: int
    cpu: float
    """Seconds."""
    waited: float
    """Seconds of CPU of its children that ended, and of theirs."""


def _all() -> Iterator[Process]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # proc_pid_stat(5); the name, in parentheses, may hold anything
                values = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                user, system, children_user, children_system = (int(value) * _TICK for value in values[11:15])
                yield Process(
                    int(entry.name), int(values[1]), int(values[19]), user + system, children_user + children_system
                )


def tree(roots: Iterable[int]) -> list[Process]:
    """These processes that live, and all below them."""
    children = defaultdict(list)
    found, stack = list[Process](), list[Process]()
    wanted = set(roots)
    for process in _all():
        children[process.parent].append(process)
        if process.pid in wanted:
            stack.append(process)
    while stack:
        found.append(process := stack.pop())
        stack += children[process.pid]
    return found


def name(pid: int) -> str:
    """What it is: the role of a process of Postjet, else the program. Raises OSError."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    if "-m" not in words:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    module = words[words.index("-m") + 1]
    if module != "master":
        return module
    return words[words.index("run") + 1] if "run" in words else "parent"


def _memory(pid: int, file: str, field: str) -> int:
    """Bytes that such a file of /proc tells. Raises OSError."""
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


def busy() -> float:
    """Seconds of CPU that were used since the start of the machine, by anybody."""
    # proc_stat(5): user, nice, system, idle, iowait, irq, softirq
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:8])
    return (user + nice + system + irq + softirq) * _TICK


def strangers() -> float:
    """Seconds of CPU that all programs used but this process and those below it."""
    kernel_threads = 2
    ours = {process.pid for process in tree([os.getpid(), kernel_threads])}
    return sum(process.cpu + process.waited for process in _all() if process.pid not in ours)


class Usage(NamedTuple):
    """What processes used between two moments, by name."""

    cpu: dict[str, float]
    """Seconds."""
    peak: dict[str, int]
    """Bytes: resident set sizes at their peaks, added over the processes that lived at the same time."""
    processes: dict[str, int]
    """Most processes at the same time."""
    proportional: int
    """Bytes of all at the end, what several share counted once."""


class Watch:
    """``async with`` looks at some trees all the time."""

    def __init__(self, roots: list[int]) -> None:
        self._roots = roots
        self._names: dict[tuple[int, int], str] = {}
        self._last: dict[tuple[int, int], float] = {}
        self._cpu: defaultdict[str, float] = defaultdict(float)
        self._peak: Counter[str] = Counter()
        self._count: Counter[str] = Counter()
        self._total = self._look()
        self._cpu.clear()
        self._peak.clear()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            self._look()

    def _look(self) -> float:
        """The seconds of CPU that the trees used in all."""
        peak, count = Counter[str](), Counter[str]()
        total = 0.0
        for process in tree(self._roots):
            total += process.cpu + process.waited
            key = process.pid, process.started
            with contextlib.suppress(OSError):
                if key not in self._names:
                    self._names[key] = name(process.pid)
                called = self._names[key]
                self._cpu[called] += process.cpu - self._last.get(key, 0.0)
                self._last[key] = process.cpu
                peak[called] += _memory(process.pid, "status", "VmHWM")
                count[called] += 1
        self._peak |= peak
        self._count |= count
        return total

    def pids(self) -> dict[int, str]:
        """The names of all that were seen, by process id."""
        return {pid: name for (pid, _), name in self._names.items()}

    def usage(self) -> Usage:
        """Since the watch was made. What nobody saw of short-lived processes is under ``ENDED``."""
        used = self._look() - self._total
        if (unseen := used - sum(self._cpu.values())) > 0.005:
            self._cpu[ENDED] = unseen
        proportional = 0
        for process in tree(self._roots):
            with contextlib.suppress(OSError):
                proportional += _memory(process.pid, "smaps_rollup", "Pss:")
        return Usage(dict(self._cpu), dict(self._peak), dict(self._count), proportional)
