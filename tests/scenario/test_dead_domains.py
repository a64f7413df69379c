"""Domains whose servers hang, refuse, or cannot be found hold nobody up: mail to others behind theirs goes all the same.

``DEAD_MAILS`` says how many lie in front; ``make slow`` takes ten times as many and prints figures.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from scenario_support import SENDER, ids, mx

from master.demo.generator import Mail, make_message, send_all
from master.demo.sink import EXTENSIONS, Sink
from master.demo.sink_script import Phase, Rule
from master.demo.world import World

DEAD = int(os.environ.get("DEAD_MAILS", "2100"))
OTHERS, DOMAINS = 500, 100
PHASES: tuple[Phase, ...] = ("banner", "ehlo", "starttls", "mail", "rcpt", "data", "dot")


def mails(count: int, domains: list[str]) -> Iterable[Mail]:
    for i in range(count):
        recipient = f"r{i}@{domains[i % len(domains)]}"
        yield SENDER, [recipient], make_message(1000, sender=SENDER, recipient=recipient)


async def send_to(world: World, count: int, domains: list[str]) -> None:
    ids(await send_all(mails(count, domains), "127.0.0.1", world.smtp_port, 20, timeout=600))


async def others(world: World, domains: list[str]) -> float:
    """Seconds from the first of them to the last delivered."""
    before, started = sum(sink.mails for sink in world.sinks), time.monotonic()
    await send_to(world, OTHERS, domains)
    async with asyncio.timeout(120):
        while sum(sink.mails for sink in world.sinks) < before + OTHERS:
            await asyncio.sleep(0.01)
    return time.monotonic() - started


@contextlib.contextmanager
def silent(host: str, port: int) -> Iterator[None]:
    """A port whose backlog is full: what comes is not answered."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind((host, port))
        listening.listen(0)
        for _ in range(2):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((host, port))
        yield


@contextlib.asynccontextmanager
async def hanging(world: World) -> AsyncIterator[list[str]]:
    """A domain for every phase in which its server says no more."""
    async with contextlib.AsyncExitStack() as stack:
        for number, phase in enumerate(PHASES, 1):
            sink = await stack.enter_async_context(mx(world, f"127.0.1.{number}", f"{phase}.test"))
            sink.rules.append(Rule(phase=phase, do="hang"))
            sink.extensions = (*EXTENSIONS, "STARTTLS")
        stack.enter_context(silent("127.0.1.99", world.mx_port))
        world.dns.zone.add("mx.connect.test", "A", "127.0.1.99")
        world.dns.zone.add("connect.test", "MX", "10 mx.connect.test.")
        yield ["connect.test", *(f"{phase}.test" for phase in PHASES)]


@contextlib.asynccontextmanager
async def refusing(world: World) -> AsyncIterator[list[str]]:
    names = [f"refusing{i}.test" for i in range(300)]
    for i, name in enumerate(names):
        world.dns.zone.add(f"mx.{name}", "A", f"127.0.{2 + i // 250}.{1 + i % 250}")
        world.dns.zone.add(name, "MX", f"10 mx.{name}.")
    yield names


@contextlib.asynccontextmanager
async def unknown(world: World) -> AsyncIterator[list[str]]:
    yield [f"unknown{i}.test" for i in range(DEAD)]


@contextlib.asynccontextmanager
async def unanswered(world: World) -> AsyncIterator[list[str]]:
    names = [f"mute{i}.test" for i in range(DEAD)]
    for name in names:
        world.dns.misbehave(name, silent=True)
    yield names


@contextlib.asynccontextmanager
async def few_unanswered(world: World) -> AsyncIterator[list[str]]:
    names = [f"few{i}.test" for i in range(3)]
    for name in names:
        world.dns.misbehave(name, silent=True)
    yield names


@contextlib.asynccontextmanager
async def many_slow(world: World) -> AsyncIterator[list[str]]:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(40):
            sink = await stack.enter_async_context(mx(world, f"127.0.4.{number + 1}", f"slow{number}.test"))
            sink.rules.append(Rule(phase="dot", wait=10))
        yield [f"slow{number}.test" for number in range(40)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dead", [unanswered, few_unanswered, hanging, refusing, unknown, many_slow])
async def test_dead_domains(tmp_path: Path, dead) -> None:
    domains = [f"d{i}.test" for i in range(DOMAINS)]
    settings = {"delivery": {"connect_timeout": "2s", "command_timeout": "2s", "site_down": "10s", "retry_first": "5m", "retry_max": "5m"}}
    async with World(tmp_path, settings=settings) as world:
        for i, domain in enumerate(domains):
            world.add_domain(domain, world.sinks[i % len(world.sinks)])
        world.add_domain("sender.test")
        async with dead(world) as names:
            alone = await others(world, domains)
            started = time.monotonic()
            await send_to(world, DEAD, names)
            sent = time.monotonic() - started
            beside = await others(world, domains)
        print(f"\n{dead.__name__}: others alone {alone:.2f} s, behind {DEAD} ({sent:.2f} s) {beside:.2f} s")
        print("\n".join(l for l in world.log_file.read_text().splitlines() if "bucket" in l or "warning" in l)[-800:])
