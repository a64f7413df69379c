"""Recorder and ClickHouse are killed with -9 at any moment: table and rollup have each event once.

``FAULT_SEED`` repeats a run; with ``-s`` it prints its figures.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_support import ClickHouse, check_rollups
from recorder_support import left
from scenario_support import environment
from support import PASSWORD, Nats, until

from common.broker import Broker, Message
from common.event import Event, Type, pack
from events.store import Store
from master import nats_server

SEED = int(os.environ.get("FAULT_SEED", time.time_ns() % 10**6))
ROUNDS, MESSAGES, ROWS = 4, 150, 20
#: Seconds that an insert takes, about, from the recorder's intent to what it purges.
INSERT = 0.3


class Role:
    """``postjet run events`` as a process of its own."""

    def __init__(self, folder: Path, nats: Nats, clickhouse: ClickHouse) -> None:
        self.log = folder / "log"
        config = folder / "postjet.toml"
        config.write_text(
            f'hostname = "recorder.test"\ndata_dir = "{folder}"\n'
            f'[nats]\nmax_store = "1GB"\nurl = "nats://{nats_server.USER}:{PASSWORD}@127.0.0.1:{nats.port}"\n'
            f'[clickhouse]\nurl = "{clickhouse.database_url("postjet")}"\n'
        )
        self._command = [sys.executable, "-m", "master", "--config", str(config), "run", "events", "--slot", "0"]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, env=environment())

    def end(self, how: signal.Signals) -> int:
        """Signal it, and wait for its end; the exit code."""
        assert self.process
        self.process.send_signal(how)
        return self.process.wait(timeout=20)


@pytest.fixture
def clickhouse(tmp_path: Path) -> Iterator[ClickHouse]:
    server = ClickHouse(tmp_path / "clickhouse")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def role(tmp_path: Path, nats: Nats, clickhouse: ClickHouse) -> Iterator[Role]:
    role = Role(tmp_path, nats, clickhouse)
    role.start()
    yield role
    assert role.process
    if role.process.poll() is None:
        role.end(signal.SIGKILL)


async def happen(broker: Broker, chance: random.Random) -> list[str]:
    """Events of all kinds over two days, ROWS to a message; their ids."""
    now, ids = time.time(), []
    for _ in range(MESSAGES):
        rows = [
            Event(
                time=now - chance.choice((0, 86400)), type=chance.choice(list(Type)), pool="default", size=1000,
                domain=f"domain{chance.randrange(50)}.test", time_total=chance.random(), text="x" * 200,
                provider=chance.choice(("", "google")), sender=f"{chance.random()}@sender{chance.randrange(3)}.test",
            )
            for _ in range(ROWS)
        ]  # fmt: skip
        await broker.put(Message("e.default", pack(rows)))
        ids += [row.id for row in rows]
    return ids


async def recorded(broker: Broker) -> bool:
    return not await left(broker)


@pytest.mark.timeout(240)
async def test_each_event_is_once_in_table_and_rollup(broker: Broker, role: Role, clickhouse: ClickHouse) -> None:
    print(f"\nFAULT_SEED={SEED}")
    chance, ids = random.Random(SEED), []
    for _ in range(ROUNDS):
        before = await intents(broker)
        ids += await happen(broker, chance)
        await until(lambda before=before: changed(broker, before), 60)
        await asyncio.sleep(chance.random() * INSERT)
        victims = chance.choice((["recorder"], ["ClickHouse"], ["recorder", "ClickHouse"]))
        for victim in victims:
            if victim == "recorder":
                role.end(signal.SIGKILL)
            else:
                clickhouse.kill()
        print(f"killed: {' and '.join(victims)}; messages not recorded: {await left(broker)}")
        for victim in victims:
            (role if victim == "recorder" else clickhouse).start()
    ids += await happen(broker, chance)  # whoever records it has started
    await until(lambda: recorded(broker), 60)
    assert role.end(signal.SIGTERM) == 0
    check(clickhouse.store("postjet"), ids)


async def intents(broker: Broker) -> int:
    """The number of what the recorder last intended."""
    stored = await broker.last("KV_intents", "$KV.intents.recorder")
    return stored.sequence if stored else 0


async def changed(broker: Broker, before: int) -> bool:
    return await intents(broker) > before


async def test_told_to_stop_while_clickhouse_is_away(broker: Broker, role: Role, clickhouse: ClickHouse) -> None:
    ids = await happen(broker, random.Random(SEED))
    await until(lambda: recorded(broker), 60)
    clickhouse.kill()
    ids += await happen(broker, random.Random(SEED))
    await until(lambda: "about 3000 events wait" in role.log.read_text())
    assert role.end(signal.SIGTERM) == 0
    role.start()
    await until(lambda: "the tables cannot be made" in role.log.read_text())
    assert role.end(signal.SIGTERM) == 0
    assert await left(broker) == MESSAGES
    clickhouse.start()
    role.start()
    await until(lambda: recorded(broker), 60)
    check(clickhouse.store("postjet"), ids)


def check(store: Store, ids: list[str]) -> None:
    found = Counter(row["id"] for row in store.query("SELECT id FROM events", {}))
    assert [id_ for id_, times in found.items() if times > 1] == []
    assert sorted(found) == sorted(ids)
    check_rollups(store)
    store.close()
