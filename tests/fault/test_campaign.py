"""Faults at random moments while mail goes through: every 250 arrives, every event is told once.

``FAULT_ROUNDS``, ``FAULT_MAILS`` and ``FAULT_COUNT`` (faults in a round) make it larger; ``FAULT_SEED`` is the seed of
the first round, each further one has the next. With ``-s`` it tells what it does.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from campaign import mix, processes
from campaign.check import Checker, Sent
from campaign.faults import Fault, Injector, plan
from clickhouse_support import check_rollups
from scenario_support import ask, broker, query
from support import until

from common.broker import Broker, BrokerFailure
from common.subjects import BODY_STREAM, EVENTS_STREAM, queue_stream
from master.demo.generator import Mail, Outcome, send_all
from master.demo.sink import Sink
from master.demo.world import World

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "3"))
MAILS = int(os.environ.get("FAULT_MAILS", "300"))
FAULTS = int(os.environ.get("FAULT_COUNT", "4"))
SEED = int(os.environ.get("FAULT_SEED", time.time_ns() % 10**6))
SESSIONS = 20
#: Mails of a round from which on it is one of a long campaign.
LONG = 1000
#: Seconds in which a client gets rid of a mail, and in which everything arrives.
PATIENCE, SETTLING = 180.0, 180.0
SETTINGS = {
    "pools.default": {"workers": 2},
    "listener": {"processes": 2 if MAILS >= LONG else 1},
    "delivery": {"command_timeout": "3s", "connect_timeout": "3s"},
}
@pytest.fixture(scope="module")
def total() -> Iterator[Counter[str]]:
    """What is counted over all rounds."""
    counts = Counter[str]()
    yield counts
    print(f"\nall rounds: {_listed(counts)}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
async def test_campaign(seed: int, tmp_path: Path, total: Counter[str]) -> None:
    print(f"\nFAULT_SEED={seed} FAULT_MAILS={MAILS} FAULT_COUNT={FAULTS}")
    started, chance = time.monotonic(), random.Random(seed)
    mails = mix.make_mails(chance, MAILS)
    faults = plan(chance, FAULTS, long_stops=MAILS >= LONG)
    async with World(tmp_path, settings=deepcopy(SETTINGS)) as world:
        mix.prepare(world, MAILS)
        keeper = asyncio.create_task(processes.keep_up(world))
        injector = Injector(world)
        try:
            outcomes = await _round(world, mails, injector, faults)
            left = await _left(world)
            rows = await query(world, "SELECT * FROM events")
            await ask(world, check_rollups)
            left += [f"set aside: {row}" for row in await query(world, "SELECT reason FROM events_set_aside")]
        finally:
            keeper.cancel()
    sent = [Sent(mail, outcome) for mail, outcome in zip(mails, outcomes, strict=True)]
    checker = Checker(sent, world.sinks, injector.happened, rows, left)
    checker.check()
    log = world.log_file.read_text()
    assert "Traceback" not in log
    assert "did not end within" not in log  # at the end everything stops by itself
    assert any(one.in_data for one in injector.happened), "no kill fell into a DATA phase: the round does not count"
    total.update(faults=len(injector.happened), kills_in_data=sum(one.in_data for one in injector.happened))
    total.update(mails=MAILS, events=len(rows), rounds=1, **checker.counts)
    print(f"{MAILS} mails, {len(rows)} events in {time.monotonic() - started:.0f} s; {_listed(checker.counts)}")


class Arrivals:
    """The deliveries that the sinks took, each counted once."""

    def __init__(self, sinks: list[Sink]) -> None:
        self._seen = [0] * len(sinks)
        self._sinks, self._deliveries = sinks, set[tuple[str, str]]()

    def look(self) -> int:
        """How many by now."""
        for number, sink in enumerate(self._sinks):
            for mail in sink.received[self._seen[number] :]:
                self._deliveries.update((mail.message_id, recipient) for recipient in mail.recipients)
            self._seen[number] = len(sink.received)
        return len(self._deliveries)


async def _round(world: World, mails: list[Mail], injector: Injector, faults: list[Fault]) -> list[Outcome]:
    """Send while the faults happen; returns when all has arrived, or nothing more will."""
    wanted = sum(len(recipients) for _, recipients, _ in mails)
    answered, arrived = 0, Arrivals(world.sinks)

    def count(_: Outcome) -> None:
        nonlocal answered
        answered += 1

    async def tell() -> None:
        while True:
            await asyncio.sleep(10)
            print(f"  {answered} of {len(mails)} mails answered, {arrived.look()} of {wanted} deliveries arrived")

    telling = asyncio.create_task(tell())
    causing = asyncio.create_task(injector.run(faults, lambda: (answered + arrived.look()) / (len(mails) + wanted)))
    try:
        outcomes = await send_all(
            mails, "127.0.0.1", world.smtp_port, SESSIONS, retry=True, deadline=PATIENCE, progress=count
        )
        with contextlib.suppress(AssertionError):  # the checker says what did not arrive
            await until(lambda: arrived.look() == wanted, SETTLING)
        await causing
    finally:
        telling.cancel()
    return outcomes


async def _left(world: World) -> list[str]:
    """What is still in the streams once they have had time to run empty, and a sweep; nothing, if all is well."""
    async with broker(world) as connection:
        left = await _settle(connection, queue_stream("default")) + await _settle(connection, EVENTS_STREAM)
        world.settings["nats"] = {"orphan_age": "1s", "sweep_every": "1s"}
        world.write_config()
        for pid in processes.pids(world, "worker"):  # who is started again has read it
            os.kill(pid, signal.SIGTERM)
        return left + await _settle(connection, BODY_STREAM)


async def _settle(connection: Broker, stream: str) -> list[str]:
    """Subjects of a stream that does not run empty."""
    subjects: dict[str, int] = {}

    async def is_empty() -> bool:
        with contextlib.suppress(BrokerFailure):
            subjects.clear()
            subjects.update(await connection.subjects(stream, ">"))
            return not subjects
        return False

    with contextlib.suppress(AssertionError):
        await until(is_empty, SETTLING)
    return [f"left in {stream}: {subject}" for subject in subjects]


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in sorted(counts.items()) if count)
