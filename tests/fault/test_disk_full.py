"""The disk is full to its last byte: no mail is lost, none is taken falsely, all goes on once there is room.

``FAULT_FULL=70`` keeps it full for so many seconds, which shows what whoever was cut off by it is told.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_support import ClickHouse, columns
from disk_support import Disk, small_disk
from fault_support import all_arrive, all_told_once, arrived, make_mails, said, saying, taken
from scenario_support import broker, postjet, said_once, until_rows
from support import until

from common.config import Events
from events import schema
from events.store import NotReachableError
from master.demo.generator import Outcome, send_all
from master.demo.sink_script import Rule
from master.demo.world import World

FULL = float(os.environ.get("FAULT_FULL", "0"))
SETTINGS = {"listener": {"max_message": "1MB"}}


@pytest.mark.timeout(180 + FULL)
async def test_disk_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "var", 64) as disk:
        async with World(tmp_path, sinks=1, settings=SETTINGS) as world:
            assert said(world, "nats.max_store lowered from 2.0 GB to 53.") == 1
            [sink] = world.sinks
            world.add_domain("a.test", sink)
            answer = asyncio.Event()
            sink.rules.append(Rule(phase="taken", wait=answer, times=20))
            mails = make_mails(120, "a.test")

            async def send(first: int, last: int, retry: bool = False) -> list[Outcome]:
                outcomes = await send_all(
                    mails[first:last], "127.0.0.1", world.smtp_port, 10, retry=retry, timeout=FULL + 80
                )
                good.update(taken(mails[first:last], outcomes))
                return outcomes

            good = set[str]()
            await send(0, 20)
            await sink.wait_for(20)  # their rows are more than what is left of a page that is taken already
            # that tables are made is another test's
            await until_rows(world, "SELECT count() AS n FROM events WHERE type = 'accepted'", {"n": 20})
            with disk.full():
                surprised = asyncio.create_task(send(20, 30))
                # how much was free when somebody looked is left open: the disk may have been about to be filled
                await until(saying(world, " free; make room on it; new mail is answered 452 until there is room"))
                assert {outcome.code for outcome in await send(30, 60)} == {452}
                answer.set()  # the sinks' 250 come when there is no place to write them down
                await until(saying(world, "nats-server can store nothing any more: "))
                await until(saying(world, "outcomes cannot be stored yet: "))
                await asyncio.sleep(FULL)
            await until(saying(world, "queue: room again"))
            assert {outcome.code for outcome in await surprised} <= {250, 451, 452}
            assert {outcome.code for outcome in await send(60, 120, retry=True)} == {250}
            await all_arrive(world, good)
            async with broker(world) as connection:
                await all_told_once(world, connection, len(good))
            assert set(arrived(world).values()) == {1}
        for line in ("is answered 452", "can store nothing any more", "outcomes cannot be stored", "room again"):
            assert said(world, line) == 1


@contextlib.contextmanager
def filled(disk: Disk, left: int) -> Iterator[None]:
    """But for so many bytes."""
    filler = disk.path / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.free - left)
    try:
        yield
    finally:
        filler.unlink()


async def test_disk_full_at_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "var", 8) as disk, disk.full():
        config = tmp_path / "postjet.toml"
        config.write_text(f'data_dir = "{tmp_path}/var"\n[[listeners]]\nbind = "127.0.0.1:0"\n')
        line = said_once(await postjet("up", config=config), 73)
        assert f"data_dir {tmp_path}/var: cannot be written: No space left on device" in line


def test_tables_are_not_made_nor_rows_taken_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 32) as disk:
        clickhouse = ClickHouse(disk.path)
        clickhouse.start()
        try:
            store = clickhouse.store()
            client = store.client
            with disk.full(), pytest.raises(NotReachableError, match="NOT_ENOUGH_SPACE"):
                schema.migrate(client, Events())
            schema.migrate(client, Events())
            row = {"id": "one", "type": "delivered", "time": time.time(), "stream_sequence": 1, "row_number": 0}
            # the engine would not tell if somebody filled the rest meanwhile
            with filled(disk, 2**22), pytest.raises(NotReachableError, match="NOT_ENOUGH_SPACE"):
                store.insert("events", columns([row]), "token")
            store.insert("events", columns([row]), "token")
            assert store.query("SELECT id FROM events", {}) == [{"id": "one"}]
            store.close()
        finally:
            clickhouse.stop()


@pytest.mark.parametrize("made", [False, True], ids=["a new table", "a table that is there"])
def test_the_disk_fills_while_a_definition_is_written(
    tmp_path: Path, made: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """The engine notices nothing of it, and would not start again."""
    with small_disk(tmp_path / "disk", 32) as disk:
        clickhouse = ClickHouse(disk.path)
        clickhouse.start()
        try:
            store = clickhouse.store("postjet")
            if made:
                schema.migrate(store.client, Events())
                store.client.command("INSERT INTO events (time, id) SELECT now(), 'before'")
                what = "ALTER TABLE events MODIFY"
            else:
                what = "CREATE TABLE events (time DateTime) ENGINE = MergeTree ORDER BY time"
            sql = f"{what} COMMENT '{'long ' * 2**18}'"
            # there is 1 MiB when one looks, and less is left than is written
            with filled(disk, 2**20 + 2**17):
                with pytest.raises(ClickHouseError, match="NOT_ENOUGH_SPACE"):
                    store.client.command(sql, settings={"max_query_size": "10000000"})
                assert clickhouse.process
                assert clickhouse.process.wait() == 0  # the parent starts it again
            clickhouse.start()
            schema.migrate(store.client, Events())
            store.client.command("INSERT INTO events (time, id) SELECT now(), 'after'")
            rows = store.query("SELECT id FROM events ORDER BY id", {})
            assert [row["id"] for row in rows] == ["after", *(["before"] if made else [])]
            store.close()
        finally:
            clickhouse.stop()
    assert "a definition was cut off, the disk is full; beginning anew" in capfd.readouterr().err
