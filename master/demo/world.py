"""A small internet on loopback with a Postjet in it: DNS server, MX sinks, the plain ``postjet up``.

Serves the demo, the scenario tests and the benches. Nothing in Postjet knows of it: it gets a
configuration file like any other.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import dns.resolver
from dns.nameserver import Do53Nameserver

from common.config import Config
from common.config_file import load
from common.errors import UnavailableError
from master.demo.dns_server import DnsServer
from master.demo.sink import Sink
from master.sockets import free_port

START_TIMEOUT, STOP_TIMEOUT = 90.0, 90.0
HOSTNAME = "mta1.postjet.test"


class World:
    """Use as an async context manager. ``settings`` are laid over the configuration, table by table.

    A list of tables is an array of tables: ``{"policies": [{"domain": "example.org", "rate": "1/s"}]}``.
    """

    def __init__(self, folder: Path, sinks: int = 3, settings: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.dns = DnsServer()
        self.sinks = [Sink(hostname=f"mx{i}.postjet.test") for i in range(1, sinks + 1)]
        self.settings = settings or {}
        self.smtp_port = free_port()
        self.mx_port = 0
        self.config_file = folder / "postjet.toml"
        self.log_file = folder / "postjet.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Config:
        """The configuration, as Postjet reads it."""
        return load(str(self.config_file), {})[0]

    @property
    def instance(self) -> dict[str, Any]:
        """What the running ``postjet up`` wrote down."""
        found: dict[str, Any] = json.loads((self.folder / "var/run/instance.json").read_text())
        return found

    async def __aenter__(self) -> Self:
        try:
            await self.open()
            await self.up()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Start DNS and sinks and write the configuration; no Postjet yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        await self.dns.start()
        for number, sink in enumerate(self.sinks):
            await sink.start(f"127.0.0.{number + 2}", self.mx_port)
            self.mx_port = sink.port
            self.dns.zone.add(sink.hostname, "A", sink.host)
        self.write_config()

    def write_config(self) -> None:
        """Write the configuration with ``settings`` as they are now; who is started later reads it."""
        self.config_file.write_text(self._toml())

    async def up(self) -> None:
        """Start ``postjet up`` and wait until it takes mail. Raises UnavailableError with its last words."""
        self.process = process = self._spawn()
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await _greets("127.0.0.1", self.smtp_port):
                    if process.poll() is not None:
                        raise UnavailableError(f"postjet up ended: {self.log_file.read_text()[-2000:]}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise UnavailableError(f"postjet up takes no mail: {self.log_file.read_text()[-2000:]}") from None

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "master", "--config", str(self.config_file), "up"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={name: value for name, value in os.environ.items() if not name.startswith("POSTJET_")},
            )

    async def down(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop ``postjet up``; its exit code."""
        process, self.process = self.process, None
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        return await asyncio.to_thread(process.wait, STOP_TIMEOUT)

    async def close(self) -> None:
        """Stop everything."""
        try:
            await self.down()
        finally:
            for sink in self.sinks:
                if sink.port:
                    await sink.stop()
            await self.dns.stop()

    def add_domain(self, domain: str, *sinks: Sink) -> None:
        """Mail for ``domain`` goes to these sinks, the preferred first (all of them: the first sink)."""
        names = [f"{10 * i} {sink.hostname}." for i, sink in enumerate(sinks or self.sinks[:1], 1)]
        self.dns.zone.add(domain, "MX", *names)

    def look_up_txt(self, name: bytes, timeout: int = 5) -> bytes:
        """What dkimpy asks for: a TXT record from our DNS server. Blocks, so not in the server's thread."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [Do53Nameserver(self.dns.host, self.dns.port)]
        answer = resolver.resolve(name.decode(), "TXT", lifetime=timeout)
        return b"".join(part for record in answer for part in record.strings)

    def _toml(self) -> str:
        tables: dict[str, dict[str, Any]] = {
            "nats": {"max_store": "2GB"},
            "api": {"bind": "127.0.0.1:0"},
            "dns": {"nameservers": [self.dns.address]},
            "delivery": {
                "port": self.mx_port,
                "prohibited_networks": [],
                "retry_first": "1s",
                "retry_max": "4s",
                "site_down": "2s",
            },
        }
        arrays: list[tuple[str, dict[str, Any]]] = []
        for name, values in self.settings.items():
            if isinstance(values, list):
                arrays += [(f"[{name}]", table) for table in values]
            else:
                tables.setdefault(name, {}).update(values)
        listener = {"name": "relay", "bind": f"127.0.0.1:{self.smtp_port}", **tables.pop("listener", {})}
        top = {"hostname": HOSTNAME, "data_dir": str(self.folder / "var"), **tables.pop("", {})}
        lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
        for name, values in [*tables.items(), ("[listeners]", listener), *arrays]:
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        return "\n".join(lines) + "\n"


async def _greets(host: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(2):
            return (await reader.readline()).startswith(b"220")
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
