"""``postjet up``: the parent that starts the embedded servers, then the roles, and keeps them running."""

import asyncio
import contextlib
import itertools
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from common import counting, instance
from common.broker import BrokerFailure
from common.config import Config
from common.entry import FEEDBACK_POOL
from common.errors import CannotCreateError, PostjetError
from common.limits.member import name_of
from common.queue import pools
from common.queue.room import kept_free
from common.role import connected, holder_of
from common.sockets import check_sources, shown
from common.units import format_size
from master import clickhouse_server, data_dir, nats_server, sockets
from master.child import Child
from master.nats_watch import NatsWatch
from smtpd_ingress import tls

log = structlog.get_logger()

#: Seconds a role or server has to finish what is in flight, in the order in which they stop; they start in the other.
STOP = {"smtpd_ingress": 45.0, "dsn": 10.0, "outbound": 60.0, "events": 60.0, "api": 5.0, "server": 30.0}
#: Seconds between looks at mail that nobody sends.
TELL_AGAIN = 600.0


class Parent:
    """One instance of Postjet on one machine."""

    def __init__(self, config: Config, config_file: Path | None) -> None:
        self.config = config
        self.config_file = config_file
        self.servers: list[Child] = []
        self.roles: dict[str, list[Child]] = {name: [] for name in STOP if name != "server"}
        self.instance: instance.Instance | None = None
        self.metrics = counting.folder(config.data_dir)
        self.watching: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Start everything, wait for SIGTERM or SIGINT, stop everything. Raises PostjetError."""
        stopping = asyncio.Event()
        for signal_ in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signal_, stopping.set)
        check_sources(self.config.pools)
        for listener in self.config.listeners:
            tls.check(listener)
        path = data_dir.prepare(self.config.data_dir)
        lock_fd = data_dir.lock(path)
        counting.empty(self.metrics)
        counting.share(self.metrics, counting.identity("master", "0"))
        clickhouse = sockets.free_address(self.config.clickhouse.bind, "clickhouse.bind")
        api = sockets.bind_api(self.config.api)
        listening = {listener.name: sockets.bind(listener) for listener in self.config.listeners}
        try:
            await self._start_servers(path, lock_fd, shown(api), clickhouse)
            self._add_roles(api, listening)
            self.watching.append(asyncio.create_task(self._tell_of_mail_left_behind()))
            for sock in itertools.chain(*listening.values()):
                sock.listen(1024)  # from now on clients wait for a child instead of being refused
            for name in reversed(self.roles):
                for child in self.roles[name]:
                    await child.start()
            for listener in self.config.listeners:
                log.info("listener %s takes mail on %s", listener.name, listener.bind)
            await stopping.wait()
        finally:
            for sock in itertools.chain([api], *listening.values()):
                sock.close()
            await self._stop()

    def _add_roles(self, api: socket.socket, listening: dict[str, list[socket.socket]]) -> None:
        self._add("api", "0", "api", api)
        self._add("events", "0")
        for pool, slot in self._slots():
            self._add("outbound", slot, pool=pool)
        if self.config.feedback.domain:
            self._add("dsn", "0")
        for name, bound in listening.items():
            for number, sock in enumerate(bound):
                self._add("smtpd_ingress", f"{name}.{number}", name, sock)

    def _slots(self) -> Iterator[tuple[str, str]]:
        """Pool and slot of every worker."""
        for pool, settings in self.config.pools.items():
            for number in range(settings.workers):
                yield pool, f"{pool}.{number}"

    def _workers(self) -> Iterator[str]:
        """The workers by their names among all."""
        return (name_of(pool, holder_of("outbound", slot)) for pool, slot in self._slots())

    async def _start_servers(self, path: Path, lock_fd: int, api: str, clickhouse: tuple[str, int]) -> None:
        config = self.config
        max_store = config.nats.max_store
        password = secrets.token_urlsafe(24)
        nats_url, clickhouse_url = config.nats.url, config.clickhouse.url
        if not nats_url:
            max_store = data_dir.store_limit(path, config.nats.max_store)
            if max_store != config.nats.max_store:
                lowered = max_store < config.nats.max_store
                log.info(
                    "nats.max_store %s from %s to %s: %s",
                    "lowered" if lowered else "raised",
                    format_size(config.nats.max_store),
                    format_size(max_store),
                    "80 % of the free disk" if lowered else "the queue holds more than that already",
                )
            port = sockets.free_port()
            nats_url = f"nats://127.0.0.1:{port}"
            self.servers.append(nats_server.child(path, port, password, max_store, lock_fd))
        if not clickhouse_url:
            host, port = clickhouse
            at = f"{clickhouse_server.reached_at(host)}:{port}"
            clickhouse_url = f"http://{clickhouse_server.USER}:{password}@{at}/postjet"
            reader = config.clickhouse.reader_password
            server = clickhouse_server.child(path, port, password, lock_fd, host=host, reader_password=reader)
            self.servers.append(server)
        for failure in await asyncio.gather(*(server.start() for server in self.servers), return_exceptions=True):
            if failure:
                raise failure
        if not config.nats.url:
            broker = nats_server.system_connection(nats_url, password)
            watch = NatsWatch(self.servers[0], broker, path / "nats", kept_free(config))
            self.watching.append(asyncio.create_task(watch.run()))
        self.instance = instance.Instance(
            pid=os.getpid(),
            nats_url=nats_url,
            nats_user="" if config.nats.url else nats_server.USER,
            nats_password="" if config.nats.url else password,
            nats_credentials=config.nats.credentials,
            clickhouse_url=clickhouse_url,
            max_store=max_store,
            api=api,
            workers=() if config.nats.url else tuple(self._workers()),
            started=time.monotonic(),
        )
        self.instance.write(config.data_dir)

    def _add(
        self, role: str, slot: str, name: str = "", sock: socket.socket | None = None, *, pool: str = "default"
    ) -> None:
        """A process of a role, which serves a socket under a name."""
        command = [sys.executable, "-m", "master"]
        if self.config_file:
            command += ["--config", str(self.config_file)]
        command += ["run", role, "--slot", slot, "--pool", pool]
        fds = (sock.fileno(),) if sock else ()
        command += [f"--socket={name}={fd}" for fd in fds]
        forget = partial(counting.forget_gauges, self.metrics, counting.identity(role, slot))
        self.roles[role].append(Child(f"{role} {slot}", command, fds=fds, on_end=forget))

    async def _tell_of_mail_left_behind(self) -> None:
        """Now and then: mail in a pool that was taken out of the configuration stays, and nobody sends it."""
        assert self.instance
        configured = self.config.queues
        while True:
            with contextlib.suppress(PostjetError, BrokerFailure):  # roles tell of a broker that does not answer
                async with connected(self.instance, configured, "postjet-master") as broker:
                    for pool, number in (await pools.left_behind(broker, configured)).items():
                        key = "feedback.domain" if pool == FEEDBACK_POOL else f"[pools.{pool}]"
                        log.error(
                            "pool %s is not in the configuration, but %s deliveries lie in it, and nobody sends them; "
                            "put %s back until 'postjet queue --by pool' shows none",
                            pool, number, key,
                        )  # fmt: skip
            await asyncio.sleep(TELL_AGAIN)

    async def _stop(self) -> None:
        """Intake first, then what is in flight, then the events, then api (503 until then), then the servers."""
        log.info("stopping: finishing what is in flight")
        for task in self.watching:
            task.cancel()
        if self.instance:
            with contextlib.suppress(CannotCreateError):
                replace(self.instance, stopping=True).write(self.config.data_dir)
        for name in self.roles:
            await asyncio.gather(*(child.stop(STOP[name]) for child in self.roles[name]))
        await asyncio.gather(*(server.stop(STOP["server"]) for server in self.servers))
        log.info("stopped")

