"""A role's process: configuration, connection to the broker, signals; what every role starts with."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
import uvloop

from common import counting, instance, log
from common.broker import Broker, BrokerFailure, NoBrokerError
from common.config import Config, without_password
from common.errors import UnavailableError
from common.ids import new_id
from common.queue import streams

logger = structlog.get_logger()

#: A mail makes some hundred objects and hardly a cycle; Python's own 700 looks through them every other mail.
GC = (20_000, 20, 20)


@dataclass
class Role:
    """What a role's ``main`` gets."""

    name: str
    config: Config
    servers: instance.Instance
    broker: Broker
    stopping: asyncio.Event
    slot: str = "0"
    """Names this process among its kind, the same after a restart."""
    pool: str = "default"
    config_file: Path | None = None
    sockets: dict[str, int] = field(default_factory=dict)
    """Listener name to a bound socket's file descriptor, handed down by the parent."""
    incarnation: str = field(default_factory=new_id)

    @property
    def holder(self) -> str:
        """What stands in this process's leases: the same after a restart, which so takes over at once."""
        return holder_of(self.name, self.slot)


def holder_of(role: str, slot: str) -> str:
    """The holder of a role's process in a slot on this machine."""
    return f"{socket.gethostname()}-{role}-{slot}".replace(".", "-")


Main = Callable[[Role], Awaitable[None]]


def run(name: str, main: Main, config: Config, **options: Any) -> None:
    """Run a role until SIGTERM or SIGINT. Raises PostjetError."""
    log.setup(config.log, config.hostname, name)
    counting.share(counting.folder(config.data_dir), counting.identity(name, options["slot"]))
    uvloop.run(_run(name, main, config, options))


async def _run(name: str, main: Main, config: Config, options: dict[str, Any]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    gc.freeze()  # what was imported lives as long as the process
    gc.set_threshold(*GC)
    # 1,024 where nobody said more, and each connection and each question to DNS is one
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stopping.set)
    servers = instance.find(config)
    # api has to answer when the broker does not
    connection = connecting if name == "api" else connected
    async with connection(servers, config.queues, f"postjet-{name}") as broker:
        if config.nats.url and not broker.clustered and connection is connected:
            logger.warning("nats.url is a single server: without sync_interval: always it can lose mail")
        try:
            await main(Role(name, config, servers, broker, stopping, **options))
        except BrokerFailure as error:  # it went while the role began: the parent tries again
            raise _unavailable(servers, error) from None


@contextlib.asynccontextmanager
async def connected(servers: instance.Instance, pools: list[str], name: str) -> AsyncIterator[Broker]:
    """A connection to the broker whose streams are there. Raises UnavailableError."""
    broker = _broker(servers, name)
    try:
        async with asyncio.timeout(30):
            await broker.connect()
            await streams.ensure_surely(broker, pools, servers.max_store)
    except (NoBrokerError, TimeoutError) as error:
        await broker.close()
        raise _unavailable(servers, error) from None
    broker.on_connect.append(lambda: streams.ensure_surely(broker, pools, servers.max_store))
    try:
        yield broker
    finally:
        await broker.close()


@contextlib.asynccontextmanager
async def connecting(servers: instance.Instance, _pools: list[str], name: str) -> AsyncIterator[Broker]:
    """A connection to the broker that is made as soon as it answers; until then its verbs raise NoBrokerError."""
    broker = _broker(servers, name)
    task = asyncio.create_task(_connect_surely(broker))
    try:
        yield broker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await broker.close()


async def _connect_surely(broker: Broker) -> None:
    while True:
        try:
            return await broker.connect()
        except NoBrokerError as error:
            logger.warning("the broker does not answer: %s; trying again", error)


def _unavailable(servers: instance.Instance, error: Exception) -> UnavailableError:
    return UnavailableError(f"the broker {without_password(servers.nats_url)} does not answer: {error}")


def _broker(servers: instance.Instance, name: str) -> Broker:
    return Broker(
        servers.nats_url,
        name=name,
        user=servers.nats_user,
        password=servers.nats_password,
        credentials=servers.nats_credentials,
    )


async def together(stopping: asyncio.Event, *background: Coroutine[Any, Any, None]) -> None:
    """Run background work until ``stopping`` is set, then cancel it. What one of them raises ends all."""
    tasks = [asyncio.create_task(work) for work in background]
    stop = asyncio.create_task(stopping.wait())
    try:
        done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stop}:
            task.result()
    finally:
        for task in (*tasks, stop):
            task.cancel()
        await asyncio.gather(*tasks, stop, return_exceptions=True)
