"""Each process is killed with -9 in turn while mail comes in: every 250 arrives, every event is told once.

``FAULT_ROUNDS``, ``FAULT_MAILS`` and ``FAULT_SEED`` make it larger or repeat it; with ``-s`` it prints its figures.
"""

import asyncio
import os
import random
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from scenario_support import SENDER, broker, ids, query
from support import until

from common.broker import Broker
from common.queue.sweep import Sweeper
from common.subjects import BODY_STREAM, EVENTS_STREAM, queue_stream
from master.demo.generator import Mail, Outcome, make_message, send_all
from master.demo.sink_script import Rule
from master.demo.world import World

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
MAILS = int(os.environ.get("FAULT_MAILS", "300"))
SEED = int(os.environ.get("FAULT_SEED", time.time_ns() % 10**6))
SESSIONS = 20
#: Process and a word of its command line.
VICTIMS = {
    "ingress": "smtpd_ingress", "worker": "outbound", "recorder": "events", "nats-server": "nats.conf",
    "ClickHouse": "events.embedded",
}  # fmt: skip
DOMAINS = [f"domain{number}.test" for number in range(10)]
#: Seconds in which everything arrives: schedules that the broker forgot are sent again after one or two minutes.
SETTLING = 150.0
_MESSAGE_ID = re.compile(rb"^Message-ID: (\S+)", re.MULTILINE)
_QUEUED_AS = re.compile(rb"with ESMTP id (\w+)")

Kill = tuple[float, str]


@pytest.mark.timeout(120 + 300 * ROUNDS)
async def test_kill_each_process(tmp_path: Path) -> None:
    print(f"\nFAULT_SEED={SEED} FAULT_ROUNDS={ROUNDS} FAULT_MAILS={MAILS}")
    started, chance = time.monotonic(), random.Random(SEED)
    mails = [_mail(chance) for _ in range(MAILS)]
    async with World(tmp_path) as world:
        _prepare(world)
        outcomes, kills = await _send(world, mails, chance)
        submissions = ids(outcomes)
        await until(lambda: _expected(mails) <= set(_arrived(world)), SETTLING)
        arriving = time.monotonic()
        orphans = await _nothing_is_left(world)
        told = await _told_once(world, mails, submissions)
    again, by_client = _repeated(world, kills)
    print(
        f"{len(_arrived(world))} deliveries of {MAILS} mails in {arriving - started:.0f} s; arrived again: {again}, "
        f"and {by_client} that the client sent again in {sum(o.tries - 1 for o in outcomes)} more tries; "
        f"contents without entries: {orphans}; events: {told}"
    )


def _repeated(world: World, kills: list[Kill]) -> tuple[int, int]:
    """How many copies too many arrived: of the same submission, and of another that the client sent again."""
    again = by_client = 0
    for copies in _arrived(world).values():
        by_client += len(copies) - 1
        for times in copies.values():
            again += len(times) - 1
            # only a worker that died, or lost its broker, between taking an entry and removing it does it twice
            assert len(times) == 1 or any(
                min(times) - 2 < at < max(times) for at, victim in kills if victim in ("worker", "nats-server")
            )
    return again, by_client


def _mail(chance: random.Random) -> Mail:
    """Each has a Message-ID of its own; a tenth has several recipients, so that its content is in BODY."""
    domains = chance.sample(DOMAINS, 3 if chance.random() < 0.1 else 1)
    return SENDER, [f"r{chance.randrange(1000)}@{domain}" for domain in domains], make_message(2000, sender=SENDER)


def _prepare(world: World) -> None:
    """Three sites of two hosts each, which let a part of the mail come again."""
    for number, domain in enumerate(DOMAINS):
        world.add_domain(domain, world.sinks[number % 3], world.sinks[(number + 1) % 3])
    for sink in world.sinks:
        sink.rules.append(Rule(phase="rcpt", recipient=DOMAINS[0], reply="450 4.2.0 Later", times=MAILS // 10))
        sink.rules.append(Rule(phase="taken", wait=0.01))  # who is killed here does not learn that it was taken


async def _send(world: World, mails: list[Mail], chance: random.Random) -> tuple[list[Outcome], list[Kill]]:
    """Send in as many waves as there are kills, each of which falls into its wave."""
    victims = [victim for _ in range(ROUNDS) for victim in chance.sample(list(VICTIMS), len(VICTIMS))]
    outcomes, kills = list[Outcome](), list[Kill]()
    for number, victim in enumerate(victims):
        wave = mails[number * MAILS // len(victims) : (number + 1) * MAILS // len(victims)]
        due = asyncio.Event()
        sending = asyncio.create_task(_send_wave(world, wave, chance.randrange(1, len(wave) // 2), due))
        await due.wait()
        kills.append((time.time(), victim))
        await _kill(world, victim)
        outcomes += await sending
    return outcomes, kills


async def _send_wave(world: World, mails: list[Mail], left: int, due: asyncio.Event) -> list[Outcome]:
    """Send; what is not taken is sent again. ``due`` is set once there are ``left`` outcomes."""

    def progress(_: Outcome) -> None:
        nonlocal left
        left -= 1
        if not left:
            due.set()

    return await send_all(mails, "127.0.0.1", world.smtp_port, SESSIONS, retry=True, deadline=120, progress=progress)


async def _kill(world: World, victim: str) -> None:
    """Kill a process and wait until the parent has started it again."""
    [pid] = _children(world, VICTIMS[victim])
    print(f"killing {victim}, pid {pid}")
    os.kill(pid, signal.SIGKILL)
    await until(lambda: _children(world, VICTIMS[victim]) not in ([pid], []))


def _children(world: World, word: str) -> list[int]:
    """The parent's children with a word in their command line, or a path that ends in it."""
    assert world.process
    found = []
    for entry in Path("/proc").iterdir():
        try:
            status, words = (entry / "status").read_text(), (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if f"\nPPid:\t{world.process.pid}\n" in status and any(w == word or w.endswith(f"/{word}") for w in words):
            found.append(int(entry.name))
    return found


def _expected(mails: list[Mail]) -> set[tuple[str, str]]:
    """Message-ID and recipient of every delivery."""
    return {
        (found[1].decode(), recipient)
        for _, recipients, content in mails
        if (found := _MESSAGE_ID.search(content))
        for recipient in recipients
    }


def _arrived(world: World) -> dict[tuple[str, str], dict[bytes, list[float]]]:
    """What the sinks took: for Message-ID and recipient, of which submissions and when."""
    arrived: dict[tuple[str, str], dict[bytes, list[float]]] = {}
    for mail in (mail for sink in world.sinks for mail in sink.received):
        queued_as = _QUEUED_AS.search(mail.content)
        assert queued_as
        for recipient in mail.recipients:
            copies = arrived.setdefault((mail.message_id, recipient), {})
            copies.setdefault(queued_as[1], []).append(mail.time)
    return arrived


async def _nothing_is_left(world: World) -> int:
    """The streams run empty, but for content that a crash left to the sweeper; how many."""
    async with broker(world) as connection:
        for stream in (queue_stream("default"), EVENTS_STREAM):
            await until(lambda stream=stream: _is_empty(connection, stream), SETTLING)
        _, orphans = await Sweeper(connection, "default", orphan_age=0).sweep()
        assert await _is_empty(connection, BODY_STREAM)
        return orphans


async def _is_empty(connection: Broker, stream: str) -> bool:
    return bool((await connection.api(f"STREAM.INFO.{stream}"))["state"]["messages"] == 0)


async def _told_once(world: World, mails: list[Mail], submissions: list[str]) -> dict[str, Any]:
    """Every 250 and every delivery of it is among the events, and no row twice; how many of each type."""
    [rows] = await query(world, "SELECT count() AS rows, uniqExact(id) AS ids FROM events")
    assert rows["rows"] == rows["ids"]
    accepted = await query(world, "SELECT submission FROM events WHERE type = 'accepted'")
    assert set(submissions) <= {row["submission"] for row in accepted}
    delivered = await query(world, "SELECT DISTINCT delivery FROM events WHERE type = 'delivered'")
    deliveries = {
        f"{submission}-{number}"
        for submission, (_, recipients, _) in zip(submissions, mails, strict=True)
        for number in range(1, len(recipients) + 1)
    }
    assert deliveries <= {row["delivery"] for row in delivered}
    counts = await query(world, "SELECT type, count() AS count FROM events GROUP BY type ORDER BY type")
    return {row["type"]: row["count"] for row in counts}
