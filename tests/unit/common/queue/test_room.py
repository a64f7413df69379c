"""When intake stops and when it begins again."""

import asyncio
from pathlib import Path

import pytest
from support import until

from common.broker import Broker
from common.config import Config
from common.queue import room as module
from common.queue.room import Disk, Room, Usage, look

DISK = Disk(Path("/var"), kept=100)


@pytest.mark.parametrize(
    ("usage", "obstacle"),
    [
        (Usage(used=799, limit=1000), ""),
        (Usage(used=800, limit=1000), "800 B of 1.0 kB used (nats.max_store)"),
        (Usage(limit=1000, events=99, max_events=200), ""),
        (Usage(limit=1000, events=100, max_events=200), "100 B of events wait for ClickHouse, half of what may"),
        (Usage(limit=1000, disk=DISK, free=101), ""),
        (Usage(limit=1000, disk=DISK, free=100), "the disk of /var has 100 B free; make room on it"),
        (Usage(used=400, limit=1000, disk=DISK, free=201), ""),
        # of the 500 that it may have four fifths are used
        (Usage(used=400, limit=1000, disk=DISK, free=200), "the disk of /var has 200 B free; make room on it"),
    ],
)
def test_what_keeps_new_mail_out(usage: Usage, obstacle: str) -> None:
    assert usage.obstacle() == obstacle


async def test_intake_stops_at_once_and_begins_again_below_its_limit(broker: Broker) -> None:
    room = Room(broker, 1000)
    room.took(600, 199)
    assert room.intake
    room.took(1, 0)
    assert not room.intake
    room.took(-79, 0)  # as if so much had gone
    assert not room.intake
    room.took(-2, 0)
    assert room.intake


def test_room_for_mail_of_a_size() -> None:
    usage = Usage(used=700, limit=1000)
    assert [bool(usage.obstacle(more=more)) for more in (0, 99, 100)] == [False, False, True]
    usage = Usage(used=300, limit=1000, disk=DISK, free=300)  # four fifths of 500 is all that may be used
    assert [bool(usage.obstacle(more=more)) for more in (0, 99, 100)] == [False, False, True]


async def test_who_stopped_has_room_for_nothing_until_it_resumes(broker: Broker) -> None:
    room = Room(broker, 1000)
    assert [room.has(size) for size in (0, 799, 800)] == [True, True, False]
    room.took(800, 0)
    room.took(-79, 0)
    assert not room.has(0)
    room.took(-2, 0)
    assert [room.has(size) for size in (0, 80, 81)] == [True, True, False]


async def test_the_disk_counts_where_the_store_is_ours(broker: Broker, tmp_path: Path) -> None:
    embedded = Config.model_validate({"data_dir": str(tmp_path), "listeners": [{"name": "a", "bind": "127.0.0.1:25"}]})
    disk = Disk.of(embedded)
    assert disk == Disk(tmp_path, 75 * 10**6)
    usage = await look(broker, 10**9, disk)
    assert (usage.limit, usage.max_events) == (10**9, 2 * 10**8)
    assert usage.free > 0
    external = embedded.model_copy(update={"nats": embedded.nats.model_copy(update={"url": "nats://10.0.0.5"})})
    assert Disk.of(external) is None


async def test_a_disk_that_does_not_answer_for_a_while_does_not_end_the_watch(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    gone = tmp_path / "gone"
    room = Room(broker, 10**9, Disk(gone, kept=10**18))
    failed = asyncio.Event()
    monkeypatch.setattr(module.log, "debug", lambda *_: failed.set())
    watch = asyncio.create_task(room.watch())
    await asyncio.wait([watch, asyncio.create_task(failed.wait())], return_when=asyncio.FIRST_COMPLETED)
    gone.mkdir()
    await until(lambda: not room.intake)
    watch.cancel()
