"""What a user of a running Postjet does: sends mail, runs commands, asks what happened."""

import asyncio
import contextlib
import json
import os
import smtplib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from support import until

from common import instance
from common.broker import Broker
from common.key_store import KeyStore
from common.keys import public_record
from common.role import connected
from events.store import NoTableError, Store
from master.demo.generator import Outcome, make_message, send_all
from master.demo.sink import Sink
from master.demo.world import World

SENDER = "news@sender.test"


@contextlib.asynccontextmanager
async def mx(world: World, host: str, *domains: str) -> AsyncIterator[Sink]:
    """An MX host of its own at an address in 127.0.0.0/8 for these domains."""
    sink = Sink(hostname=f"mx.{domains[0]}")
    await sink.start(host, world.mx_port)
    world.dns.zone.add(sink.hostname, "A", host)
    for domain in domains:
        world.add_domain(domain, sink)
    async with sink:
        yield sink


async def send(world: World, *recipients: str, mails: int = 1, sessions: int = 1) -> list[str]:
    """Send mails to the recipients together; their submissions' ids."""
    content = [make_message(1000, sender=SENDER, recipient=recipients[0]) for _ in range(mails)]
    return ids(await send_all([(SENDER, recipients, one) for one in content], "127.0.0.1", world.smtp_port, sessions))


def ids(outcomes: list[Outcome]) -> list[str]:
    """The submissions' ids behind replies that must be 250."""
    assert [o for o in outcomes if o.code != 250 or o.refused] == []
    return [outcome.text.rpartition(" ")[2] for outcome in outcomes]


Answer = TypeVar("Answer")


async def query(world: World, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """Ask the events' database; nothing where its tables are not made yet."""
    try:
        return await ask(world, lambda store: store.query(sql, parameters))
    except NoTableError:
        return []


async def until_rows(world: World, sql: str, *expected: dict[str, Any]) -> None:
    """Wait until the events' database answers with these. Raises AssertionError, with what it said last."""
    rows: list[dict[str, Any]] = []

    async def are_there() -> bool:
        rows[:] = await query(world, sql)
        return rows == list(expected)

    try:
        await until(are_there)
    except AssertionError as error:
        raise AssertionError(f"{sql}\nexpected {expected}\nlast     {tuple(rows)}") from error


async def ask(world: World, what: Callable[[Store], Answer]) -> Answer:
    """What somebody finds in the events' database."""
    store = Store(world.instance["clickhouse_url"])
    try:
        return await asyncio.to_thread(what, store)
    finally:
        store.close()


async def story(world: World, submission: str, last: str, count: int = 1) -> list[dict[str, Any]]:
    """The events of a submission in their order, once ``count`` are of the type ``last``."""
    rows: list[dict[str, Any]] = []

    async def told() -> bool:
        rows[:] = await query(
            world,
            "SELECT * FROM events WHERE submission = {submission:String} ORDER BY stream_sequence, row_number",
            submission=submission,
        )
        return [row["type"] for row in rows].count(last) >= count

    await until(told)
    return rows


def types(rows: list[dict[str, Any]]) -> list[str]:
    """What the events are."""
    return [row["type"] for row in rows]


@contextlib.asynccontextmanager
async def broker(world: World) -> AsyncIterator[Broker]:
    """A connection to the running instance's broker."""
    async with connected(instance.find(world.config), ["default"], "test") as connection:
        yield connection


async def queue(world: World) -> dict[str, dict[str, Any]]:
    """What ``postjet queue --json`` lists, by delivery."""
    done = await postjet("queue", "--json", config=world.config_file)
    assert (done.returncode, done.stderr) == (0, "")
    return {entry["queue_id"]: entry for entry in map(json.loads, done.stdout.splitlines())}


async def postjet(
    *arguments: str, config: Path | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "master", *(["--config", str(config)] if config else []), *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=60
    )


def environment(**more: str) -> dict[str, str]:
    """Ours without keys of Postjet."""
    return {name: value for name, value in os.environ.items() if not name.startswith("POSTJET_")} | more


def said_once(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line that a failed command said."""
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (code, 1), done.stderr
    assert lines[0].startswith("postjet: ")
    return lines[0]


def processes(folder: Path) -> dict[int, list[str]]:
    """Every process that has the folder in its command line: pid to command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_text().split("\0")
                if any(str(folder) in word for word in words):
                    found[int(entry.name)] = words
    return found



async def send_with(world: World, options: str, *recipients: str, mails: int = 1, sessions: int = 1) -> list[str]:
    """``send`` with lines of ``X-Postjet-…`` in the header; every line ends in CRLF."""
    content = [make_message(1000, sender=SENDER, recipient=recipients[0]) for _ in range(mails)]
    queued = [(SENDER, recipients, options.encode() + one) for one in content]
    return ids(await send_all(queued, "127.0.0.1", world.smtp_port, sessions))


async def send_as(world: World, sender: str, *recipients: str) -> list[str]:
    """``send`` with a sender, who stands in From too."""
    content = make_message(1000, sender=sender, recipient=recipients[0])
    return ids(await send_all([(sender, recipients, content)], "127.0.0.1", world.smtp_port))


def sign_for(world: World, domain: str) -> None:
    """Make a DKIM key for a domain and publish its record."""
    config = world.config
    key = KeyStore(config.dkim.keys, config.data_dir).create(domain, "s1", "rsa").load()
    world.dns.zone.add(key.record_name, "TXT", public_record(key))


async def rcpt(world: World, recipient: str, sender: str = SENDER) -> tuple[int, str]:
    """What the listener says to a recipient; nothing is sent."""

    def ask() -> tuple[int, str]:
        with smtplib.SMTP("127.0.0.1", world.smtp_port, "client.test") as smtp:
            smtp.ehlo()
            assert smtp.mail(sender)[0] == 250
            code, text = smtp.rcpt(recipient)
            return code, text.decode()

    return await asyncio.to_thread(ask)
