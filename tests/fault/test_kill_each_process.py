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
from nats.aio.msg import Msg
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
#: Seconds that an insert takes, from the recorder's intent to what it purges.
INSERT = 0.05
DOMAINS = [f"domain{number}.test" for number in range(10)]
#: Seconds in which everything arrives.
SETTLING = 150.0
_MESSAGE_ID = re.compile(rb"^Message-ID: (\S+)", re.MULTILINE)
_QUEUED_AS = re.compile(rb"with ESMTP id (\w+)")


@pytest.mark.timeout(120 + 300 * ROUNDS)
async def test_kill_each_process(tmp_path: Path) -> None:
    print(f"\nFAULT_SEED={SEED} FAULT_ROUNDS={ROUNDS} FAULT_MAILS={MAILS}")
    started, chance = time.monotonic(), random.Random(SEED)
    mails = [_mail(chance) for _ in range(MAILS)]
    async with World(tmp_path) as world, broker(world) as connection:
        _prepare(world)
        killer = Killer(world, connection, chance)
        await killer.watch()
        outcomes = await _send(world, mails, killer)
        submissions = ids(outcomes)
        await until(lambda: _expected(mails) <= set(_arrived(world)), SETTLING)
        arriving = time.monotonic()
        orphans = await _nothing_is_left(connection)
        told = await _told_once(world, mails, submissions)
    assert "Traceback" not in world.log_file.read_text()
    again, by_client = _repeated(world, killer.kills)
    print(
        f"{len(_arrived(world))} deliveries of {MAILS} mails in {arriving - started:.0f} s; arrived again: {again}, "
        f"and {by_client} that the client sent again in {sum(o.tries - 1 for o in outcomes)} more tries; "
        f"contents without entries: {orphans}; events: {told}"
    )


def _repeated(world: World, kills: list[tuple[float, str]]) -> tuple[int, int]:
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


async def _send(world: World, mails: list[Mail], killer: "Killer") -> list[Outcome]:
    """Send in as many waves as there are kills, each of which begins within its wave."""
    outcomes = list[Outcome]()
    for number, victim in enumerate(killer.victims):
        wave = mails[number * MAILS // len(killer.victims) : (number + 1) * MAILS // len(killer.victims)]
        due = asyncio.Event()
        sending = asyncio.create_task(_send_wave(world, wave, killer.chance.randrange(1, len(wave) // 2), due))
        await due.wait()
        await killer.kill(victim)
        outcomes += await sending
    return outcomes


async def _send_wave(world: World, mails: list[Mail], left: int, due: asyncio.Event) -> list[Outcome]:
    """Send; what is not taken is sent again. ``due`` is set once there are ``left`` outcomes."""

    def progress(_: Outcome) -> None:
        nonlocal left
        left -= 1
        if not left:
            due.set()

    return await send_all(mails, "127.0.0.1", world.smtp_port, SESSIONS, retry=True, deadline=120, progress=progress)


class Killer:
    """Kills processes of a world with -9."""

    def __init__(self, world: World, connection: Broker, chance: random.Random) -> None:
        self.world, self.connection, self.chance = world, connection, chance
        self.victims = [victim for _ in range(ROUNDS) for victim in chance.sample(list(VICTIMS), len(VICTIMS))]
        self.kills: list[tuple[float, str]] = []
        self._inserting = asyncio.Event()

    async def watch(self) -> None:
        """Notice when the recorder is about to insert."""
        await self.connection.subscribe("$KV.intents.recorder", self._on_intent)

    async def _on_intent(self, _: Msg) -> None:
        self._inserting.set()

    async def kill(self, victim: str) -> None:
        """Kill a process and wait until the parent has started it again; who writes events, during an insert."""
        [pid] = self._children(victim)
        if victim in ("recorder", "ClickHouse"):
            self._inserting.clear()
            await self._inserting.wait()
            await asyncio.sleep(self.chance.uniform(0, INSERT))
        print(f"killing {victim}, pid {pid}")
        self.kills.append((time.time(), victim))
        os.kill(pid, signal.SIGKILL)
        await until(lambda: self._children(victim) not in ([pid], []))

    def _children(self, victim: str) -> list[int]:
        """The parent's children with the victim's word in their command line, or a path that ends in it."""
        assert self.world.process
        word, found = VICTIMS[victim], []
        for entry in Path("/proc").iterdir():
            try:
                status, words = (entry / "status").read_text(), (entry / "cmdline").read_text().split("\0")
            except OSError:
                continue
            ours = f"\nPPid:\t{self.world.process.pid}\n" in status
            if ours and any(w == word or w.endswith(f"/{word}") for w in words):
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


async def _nothing_is_left(connection: Broker) -> int:
    """The streams run empty, but for content that a crash left to the sweeper; how many."""
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
