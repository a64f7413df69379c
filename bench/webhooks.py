"""What webhooks cost the mail, and what a dead endpoint costs a live one. ``python -m bench.webhooks``

A running ``postjet up``, its receivers and sinks in this process. Lateness is from a mail's delivery to the receiver's
request; CPU in milliseconds a mail, by role.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from bench.processes import Watch
from common.webhook import new_secret
from master.demo.generator import make_message, send_all
from master.demo.world import World
from master.sockets import free_port

DOMAIN, SENDER = "fast.test", "news@sender.test"
#: Names of rounds to the endpoints there are: live, hanging, refusing.
ROUNDS: dict[str, tuple[str, ...]] = {
    "no endpoint": (), "live": ("live",), "live beside two dead": ("hanging", "refusing", "live")
}  # fmt: skip


class Receivers:
    """One that answers and one that never does."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.ports = {"hanging": 0, "live": 0, "refusing": free_port()}

    async def live(self, request: web.Request) -> web.Response:
        told = json.loads(await request.read())
        if told["type"] == "message.delivered":
            self.late.append(time.time() - datetime.fromisoformat(told["timestamp"]).timestamp())
        return web.Response(status=204)

    async def hanging(self, request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(60)
        return web.Response(status=500)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        runners = []
        for name in ("live", "hanging"):
            app = web.Application()
            app.router.add_post("/", getattr(self, name))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.ports[name] = runner.addresses[0][1]
            runners.append(runner)
        try:
            yield
        finally:
            for runner in runners:
                await runner.cleanup()


async def measure(name: str, folder: Path, mails: int, rate: float) -> None:
    """One round; prints its line."""
    receivers = Receivers()
    async with receivers.running():
        webhooks = [
            {"name": one, "url": f"http://127.0.0.1:{receivers.ports[one]}/", "secrets": [new_secret()],
             "allow_internal": True, "types": ["delivered"]}
            for one in ROUNDS[name]
        ]  # fmt: skip
        async with World(folder, sinks=1, settings={"webhooks": webhooks}) as world:
            assert world.process
            world.add_domain(DOMAIN)
            async with Watch([world.process.pid]) as watch:
                seconds = await _send(world, mails, rate)
                while webhooks and len(receivers.late) < mails:
                    await asyncio.sleep(0.05)
                usage = watch.usage()
            _tell(name, mails / seconds, receivers.late, {role: 1000 * s / mails for role, s in usage.cpu.items()})


async def _send(world: World, mails: int, rate: float) -> float:
    """Seconds until all were at the sink; ``rate`` 0: as fast as they go."""
    message = make_message(2000, sender=SENDER, recipient=f"r@{DOMAIN}")
    started = time.monotonic()

    async def later(number: int) -> None:
        await asyncio.sleep(number / rate)
        await send_all([(SENDER, (f"r{number}@{DOMAIN}",), message)], "127.0.0.1", world.smtp_port)

    if rate:
        await asyncio.gather(*map(later, range(mails)))
    else:
        every = [(SENDER, (f"r{number}@{DOMAIN}",), message) for number in range(mails)]
        await send_all(every, "127.0.0.1", world.smtp_port, 20)
    while world.sinks[0].mails < mails:
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def _tell(name: str, rate: float, late: list[float], cpu: dict[str, Any]) -> None:
    late.sort()
    parts = [f"p{p} {1000 * late[len(late) * p // 100]:.0f}" for p in (50, 95, 99)] if late else ["none"]
    roles = "  ".join(f"{role} {ms:.2f}" for role, ms in sorted(cpu.items()))
    print(f"{name:22} {rate:6.0f} mails/s  lateness ms: {' '.join(parts):28}  CPU ms/mail: {roles}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=0, help="mails a second; 0: as fast as they go")
    parser.add_argument("--rounds", nargs="*", default=list(ROUNDS))
    options = parser.parse_args()
    for name in options.rounds:
        with tempfile.TemporaryDirectory(prefix="postjet-bench-") as folder:
            asyncio.run(measure(name, Path(folder), options.mails, options.rate))


if __name__ == "__main__":
    main()
