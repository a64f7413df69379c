"""Thousands of clients that connect and say nothing: they keep nobody out, and cost little memory each.

``SILENT`` says how many (CI: 500; make idle: 5,000).
"""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

from scenario_support import SENDER, ids, processes

from master.demo.generator import make_message, send_all
from master.demo.world import World
from master.sockets import free_port

SILENT = int(os.environ.get("SILENT", "500"))
MAILS, SESSIONS = max(200, SILENT // 2), 20
CROWDED = "421 4.7.0 Too busy to wait for you, try again later\r\n"
#: Bytes that a silent connection may cost the process.
EACH = 20_000


class Silent:
    """Strangers, each at an address of its own, a hundred to a /24."""

    def __init__(self) -> None:
        self.open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def connect(self, port: int) -> None:
        for number in range(SILENT):
            source = f"127.1.{number // 100}.{number % 100 + 1}"
            self.open.append(await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)))
            assert (await self.open[-1][0].readline()).startswith(b"220 ")

    async def replies(self) -> Counter[str]:
        """What they were told since the greeting; "": nothing, they are still connected."""
        told = Counter[str]()
        for reader, writer in self.open:
            said = reader._buffer  # type: ignore[attr-defined]  to read would wait for those that are told nothing
            told[said.decode()] += 1
            writer.close()
        return told


async def test_they_keep_nobody_out(tmp_path: Path) -> None:
    """Both where there is room for all of them, and where there is room for a fifth."""
    port = free_port()
    roomy = {"name": "roomy", "bind": f"127.0.0.1:{port}", "networks": ["127.0.0.1/32"], "max_connections": 2 * SILENT}
    few = {"networks": ["127.0.0.1/32"], "max_connections": SILENT // 5}
    async with World(tmp_path, sinks=1, settings={"listener": few, "listeners": [roomy]}) as world:
        world.add_domain("a.test")
        alone = await _send(world.smtp_port)
        for name, at in (("roomy", port), ("relay", world.smtp_port)):
            process = _process(tmp_path, name)
            before, silent = process.memory, Silent()
            await silent.connect(at)
            cost = (process.memory - before) / SILENT
            beside = await _send(at)
            late, writer = await asyncio.open_connection("127.0.0.1", at, local_addr=("127.2.0.1", 0))
            assert (await late.readline()).startswith(b"220 ")
            writer.close()
            told = await silent.replies()
            print(
                f"\n{name}: {SILENT} silent clients, {told[CROWDED]} of them sent away; {cost / 1000:.1f} kB each "
                f"({before / 1e6:.0f} MB before, {process.memory / 1e6:.0f} MB after); {MAILS} mails over {SESSIONS} "
                f"sessions {beside:.0f}/s, without them {alone:.0f}/s"
            )
            assert cost < EACH
            if name == "roomy":
                assert told == {"": SILENT}
            else:
                assert told.keys() == {"", CROWDED}
                assert told[""] < SILENT // 5


async def _send(port: int) -> float:
    """Mails a second, all of them accepted."""
    mails = [(SENDER, [f"r{n}@a.test"], make_message(2000, sender=SENDER)) for n in range(MAILS)]
    started = time.monotonic()
    ids(await send_all(mails, "127.0.0.1", port, SESSIONS))
    return MAILS / (time.monotonic() - started)


class _Process:
    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")

    @property
    def memory(self) -> int:
        """Resident bytes."""
        [line] = [line for line in self._status.read_text().splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024


def _process(folder: Path, listener: str) -> _Process:
    """Of the one process that serves a listener."""
    [pid] = [pid for pid, words in processes(folder).items() if "smtpd_ingress" in words and f"{listener}.0" in words]
    return _Process(pid)
