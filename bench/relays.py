"""What is measured: Postjet as ``postjet up`` runs it, and what the others have in common with it."""

import asyncio
import contextlib
import random
import socket
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from bench.generator import SENDER_DOMAIN
from events.store import NoTableError, Store
from master.demo.world import World

#: Mail to the last goes before what is measured.
DOMAINS = [f"domain{number:03}.test" for number in range(200)]
WARM_UP = "warm-up.test"
#: Each is an MX host.
HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
#: The host of each domain.
ROUTES = {domain: HOSTS[number % len(HOSTS)] for number, domain in enumerate((*DOMAINS, WARM_UP))}
SELECTOR = "bench"
SETTLE_TIMEOUT = 60.0


def quiet_port() -> int:
    """A free port that the kernel gives to no outgoing connection: these are many here, and start at 32768."""
    while True:
        port = random.randrange(20000, 32768)
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            return port


class Relay(ABC):
    """One relay in a folder of its own, which takes mail on ``port``.

    ``key`` is the file of the DKIM key; ``mx_port`` where the sinks listen.
    """

    name: ClassVar[str]
    signs: ClassVar[bool] = True

    def __init__(self, folder: Path, mx_port: int, key: Path) -> None:
        self.folder, self.mx_port, self.key = folder, mx_port, key
        self.port = quiet_port()

    @abstractmethod
    async def start(self) -> None:
        """Start it and wait until it takes mail. Raises PostjetError."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop it, whether or not it started."""

    @abstractmethod
    def roots(self) -> list[int]:
        """These processes and all below them are the relay."""

    @abstractmethod
    async def settled(self, mails: int) -> bool:
        """Nothing is left to do for so many mails, all of which were delivered."""

    async def settle(self, mails: int) -> None:
        """Wait until it is settled. Raises TimeoutError."""
        async with asyncio.timeout(SETTLE_TIMEOUT):
            while not await self.settled(mails):
                await asyncio.sleep(0.2)


class Postjet(Relay):
    """The plain ``postjet up``, and its DNS server in this process. ``settings``: see ``World``."""

    name = "Postjet"

    def __init__(self, folder: Path, mx_port: int, key: Path, settings: dict[str, dict[str, Any]]) -> None:
        super().__init__(folder, mx_port, key)
        self._world = World(folder, sinks=0, settings=settings)
        self._world.mx_port = mx_port
        self._world.smtp_port = self.port
        self._store: Store | None = None

    async def start(self) -> None:
        await self._world.open()
        zone = self._world.dns.zone
        for number, host in enumerate(HOSTS):
            zone.add(f"mx{number}.bench.test", "A", host)
        for domain, host in ROUTES.items():
            zone.add(domain, "MX", f"10 mx{HOSTS.index(host)}.bench.test.")
        place = Path(self._world.config.data_dir, "dkim", f"{SENDER_DOMAIN}.{SELECTOR}.pem")
        place.parent.mkdir(parents=True)
        place.symlink_to(self.key)
        await self._world.up()
        self._store = Store(self._world.instance["clickhouse_url"])

    async def stop(self) -> None:
        if self._store:
            self._store.close()
        await self._world.close()

    def roots(self) -> list[int]:
        assert self._world.process
        return [self._world.process.pid]

    async def settled(self, mails: int) -> bool:
        """Every delivery is recorded."""
        assert self._store
        query = "SELECT count() AS recorded FROM events WHERE type = 'delivered'"
        try:
            rows = await asyncio.to_thread(self._store.query, query, {})
        except NoTableError:
            return False
        return bool(rows[0]["recorded"] >= mails)
