"""The disk becomes read-only: nothing is taken falsely, nothing is lost."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from disk_support import failing_disk, read_only, small_disk
from fault_support import all_arrive, all_told_once, make_mails, said, saying, taken
from scenario_support import broker, postjet, processes, said_once
from support import until

from master import data_dir
from master.demo.generator import Mail, send_all
from master.demo.sink_script import Rule
from master.demo.world import World

SETTINGS = {"listener": {"max_message": "1MB"}}


async def _send(world: World, mails: list[Mail]) -> tuple[set[int], set[str]]:
    """The codes that were answered, and what was taken."""
    outcomes = await send_all(mails, "127.0.0.1", world.smtp_port, 10, timeout=90)
    return {outcome.code for outcome in outcomes}, taken(mails, outcomes)


def _pid(world: World, word: str) -> int:
    """The process with the word in its command line."""
    [pid] = [pid for pid, words in processes(world.folder).items() if any(word in argument for argument in words)]
    return pid


async def test_read_only_at_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "var", 8) as disk:
        data_dir.prepare(str(disk.path))
        disk.remount("ro")
        config = tmp_path / "postjet.toml"
        config.write_text(f'data_dir = "{tmp_path}/var"\n[[listeners]]\nbind = "127.0.0.1:0"\n')
        line = said_once(await postjet("up", config=config), 73)
        assert f"data_dir {tmp_path}/var: cannot be written: Read-only file system" in line


async def test_servers_cannot_start_on_a_read_only_disk(tmp_path: Path) -> None:
    """Who has a file open there may go on, so both servers are killed."""
    with small_disk(tmp_path / "var", 64):
        async with World(tmp_path, sinks=1, settings=SETTINGS) as world:
            world.add_domain("a.test", *world.sinks)
            mails = make_mails(20, "a.test")
            _, good = await _send(world, mails[:10])
            with contextlib.ExitStack() as stack:
                with _parent_stopped(world):
                    for word in ("nats.conf", "events.embedded"):
                        os.kill(_pid(world, word), signal.SIGKILL)
                    stack.enter_context(read_only(*(tmp_path / "var" / name for name in ("nats", "clickhouse", "log"))))
                sending = asyncio.create_task(_send(world, mails[10:]))
                await until(saying(world, "read-only file system", 3))
            codes, more = await sending
            assert codes <= {250, 451}
            await all_arrive(world, good | more)
            async with broker(world) as connection:
                await all_told_once(world, connection, len(good | more))


@contextlib.contextmanager
def _parent_stopped(world: World) -> Iterator[None]:
    assert world.process
    world.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        world.process.send_signal(signal.SIGCONT)


async def test_disk_that_turned_read_only(tmp_path: Path) -> None:
    with failing_disk(tmp_path / "var", tmp_path / "image") as fail:
        world = World(tmp_path, sinks=1, settings=SETTINGS)
        try:
            await world.open()
            await world.up()
            [sink] = world.sinks
            world.add_domain("a.test", sink)
            sink.rules.append(Rule(phase="rcpt", reply="450 4.2.0 Later", times=10))
            mails = make_mails(30, "a.test")
            _, good = await _send(world, mails[:10])
            fail()
            sending = asyncio.create_task(_send(world, mails[10:20]))
            await until(saying(world, "nats-server can store nothing any more: "))
            assert said(world, "read-only file system; mail is refused") == 1
            await world.down(signal.SIGKILL)
            codes, more = await sending
            assert codes <= {0, 451}
            await until(lambda: not processes(tmp_path))
        finally:
            await world.down(signal.SIGKILL)
            await until(lambda: not processes(tmp_path))
    with failing_disk(tmp_path / "var", tmp_path / "image"):
        try:
            await world.up()
            codes, more = await _send(world, mails[20:])
            assert codes == {250}
            await all_arrive(world, good | more)
            async with broker(world) as connection:
                await all_told_once(world, connection, len(good | more))
        finally:
            await world.close()
