"""Domains whose servers hang or refuse, or that cannot be found, hold nobody up: mail behind theirs goes all the same.

All of them at once; ``make slow`` takes ``DEAD_FACTOR`` times as many, one kind after the other, and prints figures.
What the others take alone is measured when all is warm: names are known, connections were made.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_support import said
from scenario_support import SENDER, ids, mx

from common.subjects import bucket
from master.demo.generator import Mail, make_message, send_all
from master.demo.sink import EXTENSIONS
from master.demo.sink_script import Phase, Rule
from master.demo.world import World

FACTOR = int(os.environ.get("DEAD_FACTOR", "1"))
#: How often the others go alone.
ROUNDS = 3 if FACTOR > 1 else 1
OTHERS, DOMAINS = int(os.environ.get("DEAD_OTHERS", "500")), 100
#: Mails of each kind that lie in front.
HANGING, REFUSED, SLOW, UNKNOWN, MUTE = 300 * FACTOR, 300 * FACTOR, 800 * FACTOR, 300 * FACTOR, 1200 * FACTOR
SETTINGS = {
    "delivery": {
        "connect_timeout": "2s", "command_timeout": "2s", "site_down": "10s", "retry_first": "5m", "retry_max": "5m",
    },
}
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
    async with asyncio.timeout(300):
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
async def hanging(world: World) -> AsyncIterator[tuple[int, list[str]]]:
    """A domain for every phase in which its server says no more."""
    async with contextlib.AsyncExitStack() as stack:
        for number, phase in enumerate(PHASES, 1):
            sink = await stack.enter_async_context(mx(world, f"127.0.1.{number}", f"{phase}.test"))
            sink.rules.append(Rule(phase=phase, do="hang"))
            sink.extensions = (*EXTENSIONS, "STARTTLS")
        stack.enter_context(silent("127.0.1.99", world.mx_port))
        world.dns.zone.add("mx.connect.test", "A", "127.0.1.99")
        world.dns.zone.add("connect.test", "MX", "10 mx.connect.test.")
        yield HANGING, ["connect.test", *(f"{phase}.test" for phase in PHASES)]


@contextlib.asynccontextmanager
async def refusing(world: World) -> AsyncIterator[tuple[int, list[str]]]:
    """Domains whose servers are there, and take no connection."""
    names = [f"refusing{i}.test" for i in range(300)]
    for i, name in enumerate(names):
        world.dns.zone.add(f"mx.{name}", "A", f"127.0.{2 + i // 250}.{1 + i % 250}")
        world.dns.zone.add(name, "MX", f"10 mx.{name}.")
    yield REFUSED, names


@contextlib.asynccontextmanager
async def slow(world: World) -> AsyncIterator[tuple[int, list[str]]]:
    """Domains that take two mails a second each, which fills the park with mail to many of them."""
    async with contextlib.AsyncExitStack() as stack:
        for i in range(40):
            sink = await stack.enter_async_context(mx(world, f"127.0.4.{i + 1}", f"slow{i}.test"))
            sink.rules.append(Rule(phase="dot", wait=1.9))
        yield SLOW, [f"slow{i}.test" for i in range(40)]


@contextlib.asynccontextmanager
async def unknown(_world: World) -> AsyncIterator[tuple[int, list[str]]]:
    """Domains that do not exist."""
    yield UNKNOWN, [f"unknown{i}.test" for i in range(UNKNOWN)]


@contextlib.asynccontextmanager
async def mute(world: World) -> AsyncIterator[tuple[int, list[str]]]:
    """Domains that DNS does not answer for."""
    yield MUTE, [silence(world, f"mute{i}.test") for i in range(MUTE)]


@contextlib.asynccontextmanager
async def few_mute(world: World) -> AsyncIterator[tuple[int, list[str]]]:
    """Such domains with much mail each."""
    yield MUTE // 2, [silence(world, f"mute-{i}.test") for i in range(4)]


def silence(world: World, domain: str) -> str:
    world.dns.misbehave(domain, silent=True)
    return domain


def named(kinds: list[Any]) -> str:
    return ", ".join(kind.__name__ for kind in kinds)


KINDS = [hanging, refusing, slow, unknown, mute, few_mute]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kinds", [[kind] for kind in KINDS] if FACTOR > 1 else [KINDS], ids=named)
async def test_dead_domains(tmp_path: Path, kinds: list[Any]) -> None:
    async with World(tmp_path, settings=SETTINGS) as world, contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(mx(world, "127.0.5.1", "sender.test"))  # it gets the reports
        loads = [await stack.enter_async_context(kind(world)) for kind in kinds]
        # who shares the bucket of a domain that is taken out shares its fate too (docs/decisions/005)
        out = {bucket(name) for _, names in loads if len(names) < 50 for name in names}
        domains = [name for name in (f"d{i}.test" for i in range(2 * DOMAINS)) if bucket(name) not in out][:DOMAINS]
        for i, domain in enumerate(domains):
            world.add_domain(domain, world.sinks[i % len(world.sinks)])
        await others(world, domains)
        alone = [await others(world, domains) for _ in range(ROUNDS)]
        for load in loads:
            await send_to(world, *load)
        beside = await others(world, domains)
        given_up, reports = said(world, "DNS failed for mute"), said(world, "sender non-delivery notification")
        print(
            f"\n{named(kinds)}: {OTHERS} others alone {', '.join(f'{one:.2f}' for one in alone)} s, "
            f"behind them {beside:.2f} s; by then {given_up} given up, {reports} reported"
        )
        assert FACTOR > 1 or given_up <= MUTE // 4  # what DNS does not answer for still waits
        assert not said(world, "Traceback")
