"""The processes of a running instance as a fault finds them: children of the parent, by their command lines."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

from support import until

from common.errors import UnavailableError
from master.demo.world import World

PARENT = "parent"
#: Process and a word of its command line, or the end of a path in it.
WORDS = {
    "ingress": "smtpd_ingress",
    "worker": "outbound",
    "recorder": "events",
    "nats-server": "nats.conf",
    "ClickHouse": "events.embedded",
}
#: Seconds within which a process that was killed is there again.
RESTART = 60.0


class Victim:
    """One process, held by a pidfd: a signal never reaches another that has got its number."""

    def __init__(self, name: str, pid: int) -> None:
        self.name, self.pid = name, pid
        self._fd = os.pidfd_open(pid)

    def signal(self, number: signal.Signals) -> bool:
        """Send it a signal; whether it was there to get it."""
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        os.close(self._fd)


async def find(world: World, name: str, choice: int) -> Victim:
    """The process of that name (of several the one that ``choice`` falls on), once there is one."""
    while True:
        await until(lambda: pids(world, name), RESTART)
        with contextlib.suppress(ProcessLookupError, IndexError):
            found = pids(world, name)
            return Victim(name, found[choice % len(found)])


def pids(world: World, name: str) -> list[int]:
    """The processes of that name in the order they were started."""
    parent = world.process
    if parent is None or parent.poll() is not None:
        return []
    return [parent.pid] if name == PARENT else sorted(_children(parent.pid, WORDS[name]))


def _children(parent: int, word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            status, words = (entry / "status").read_text(), (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if f"\nPPid:\t{parent}\n" in status and any(w == word or w.endswith(f"/{word}") for w in words):
            found.append(int(entry.name))
    return found


async def keep_up(world: World) -> None:
    """Start the parent again whenever it has ended, as systemd does with ``Restart=always``; for ever."""
    while True:
        assert world.process
        if world.process.poll() is None:
            await asyncio.sleep(0.05)
            continue
        print(f"  parent ended with {world.process.returncode}; started again")
        await asyncio.sleep(0.1)  # systemd's RestartSec
        with contextlib.suppress(UnavailableError):
            await world.up()


def now() -> float:
    """Seconds since 1970, the clock of the sinks."""
    return time.time()
