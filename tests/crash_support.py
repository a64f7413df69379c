"""Crashes at a named point, and what is left then and in the end; the rows of docs/queue-states.md are made of it."""

import asyncio
import base64
import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import KW_ONLY, asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scenario_support import processes, query
from support import make_entry, until

from common import subjects
from common.broker import Broker, BrokerFailure, Message
from common.entry import FEEDBACK_POOL
from common.event import unpack
from common.queue import listing
from common.queue.sweep import Sweeper
from common.subjects import BODY_STREAM, EVENTS_STREAM, queue_stream
from master.demo.generator import make_message, send_all
from master.demo.sink_script import Rule
from master.demo.world import World

HOOKS = Path(__file__).parent / "fault" / "hooks"
#: Words in the command lines of the parent's children.
PROCESSES = INGRESS, WORKER, DSN, RECORDER, CLICKHOUSE, NATS = (
    "smtpd_ingress", "outbound", "dsn", "events", "events.embedded", "nats.conf",
)  # fmt: skip
#: Every function at which a test has somebody killed.
FUNCTIONS = set[str]()
#: Where mail of these tests goes.
DOMAIN, FEEDBACK_DOMAIN = "crash.test", "bounces.crash.test"
LATER = "450 4.2.0 Later"
#: Where feedback waits; what return paths are signed with.
FEEDBACK, SECRET = queue_stream(FEEDBACK_POOL), "11" * 32


def incompressible(size: int) -> bytes:
    """Text of so many bytes and a third more."""
    return base64.encodebytes(os.urandom(size)).replace(b"\n", b"\r\n")


#: More than an entry keeps while it is scheduled; more than a message of the broker holds.
MIDDLE, LARGE = incompressible(9000), incompressible(7 * 2**20)
#: Seconds for a process to come back on a busy machine.
PATIENCE = 60.0


@dataclass(frozen=True)
class Point:
    """Where a process dies: before or after a function runs in ``role``."""

    role: str
    when: str
    function: str
    """``module:qualified.name``"""
    match: str = ""
    """A text in the function's arguments."""
    _: KW_ONLY
    victim: str = ""
    """Another process than the one that runs the function."""

    @property
    def name(self) -> str:
        return f"{self.function}:{self.when}"

    def __post_init__(self) -> None:
        FUNCTIONS.add(self.function)


def before(role: str, function: str, match: str = "", **more: str) -> Point:
    return Point(role, "before", function, match, **more)


def after(role: str, function: str, match: str = "", **more: str) -> Point:
    return Point(role, "after", function, match, **more)


@dataclass(frozen=True)
class Left:
    """What lies there: kinds of entries, messages of BODY, types of events in stream or database."""

    entries: str
    contents: int
    events: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One state that a crash leaves. A mail is sent, the process dies, what comes of it is compared."""

    name: str
    point: Point
    sender: str = ""
    """Who is told when it fails; nobody unless said."""
    recipients: int = 1
    content: bytes = b""
    """Put behind the mail's own text."""
    sends: Callable[[Broker], Awaitable[object]] | None = None
    """Puts something into the queue in place of that mail."""
    rules: Callable[[], list[Rule]] = list
    """What the sink does."""
    gated: bool = False
    """Nothing gets further than RCPT until all was looked at; so it is always when ingress dies."""
    waits: str = ""
    """Mail to this address gets no answer before all was looked at, then 450 until it is made due."""
    answered: bool = True
    """Whether the client has its 250 in the end."""
    left: Left | None = None
    """Right after the crash; None where the server died that would know."""
    arrives: int = 1
    """Copies that the sink takes of each recipient's mail."""
    events: str
    """Types of the rows in the end."""
    swept: int = 0
    """Contents that the sweeper has to remove."""
    stays: str = ""
    """Kinds of entries that stay until somebody acts: ``h``, or ``s``, which is made due then."""


class Crashes:
    """Crashes in a running world; what is there before each is nothing."""

    def __init__(self, world: World, folder: Path, connection: Broker) -> None:
        self.world, self.folder, self.connection = world, folder, connection
        [self.sink] = world.sinks
        self.first_event = self._first_log = 0
        self._is_clean = True

    # --- verbs ---

    async def check(self, row: Row, then: Callable[[], Awaitable[None]] | None = None) -> None:
        """All that a row says; ``then`` is awaited after the crash, before the dead process is started again."""
        await self.begin(*row.rules())
        gate = asyncio.Event()
        if row.point.role == INGRESS or row.gated:
            self.sink.rules.insert(0, Rule(phase="rcpt", wait=gate))
        if row.waits:
            self.sink.rules.append(Rule(phase="rcpt", recipient=row.waits, wait=gate, reply=LATER))
        with self.parent_stopped():
            self.arm(row.point)
            sending = asyncio.create_task(self._send(row))
            await self.struck()
            if row.left:
                assert await sending == row.answered
                assert await self.left() == row.left
            if then:
                await then()
        gate.set()
        assert await sending == row.answered
        if row.stays == "s":
            await until(lambda: self.lies_there("s"), PATIENCE)
            self.sink.rules.clear()
            await self.fire()
        held = row.stays.strip("s")
        await self.end(row.events, arrives=row.arrives * row.recipients, swept=row.swept, held=held)

    async def _send(self, row: Row) -> bool:
        if not row.sends:
            return await self.send(row.recipients, row.content, sender=row.sender)
        await row.sends(self.connection)
        return True

    async def begin(self, *rules: Rule) -> None:
        """A new row: the sink's rules, and where events and log stand."""
        assert self._is_clean, "the test before left a mess"
        self._is_clean = False
        self.sink.rules[:] = rules
        self.sink.received.clear()
        self.first_event = (await self.connection.api(f"STREAM.INFO.{EVENTS_STREAM}"))["state"]["last_seq"] + 1
        self._first_log = self.world.log_file.stat().st_size

    async def send(self, recipients: int = 1, content: bytes = b"", domain: str = DOMAIN, sender: str = "") -> bool:
        """Send a mail, once; whether it was answered 250."""
        to = [f"r{number}@{domain}" for number in range(recipients)]
        mail = (sender, to, make_message(500, recipient=to[0]) + content)
        [outcome] = await send_all([mail], "127.0.0.1", self.world.smtp_port)
        return outcome.accepted

    async def greeted(self) -> None:
        """Returns when ingress is up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.world.smtp_port)
        assert (await reader.readline()).startswith(b"220")
        writer.close()

    async def end(self, events: str, *, arrives: int, swept: int = 0, held: str = "") -> None:
        """Wait until nothing is left but held entries; then everything is as it should be."""
        await until(self._all_run, PATIENCE)
        await until(lambda: self.lies_there(held), PATIENCE)
        await until(lambda: self._is_empty(EVENTS_STREAM), PATIENCE)
        copies = Counter(recipient for mail in self.sink.received for recipient in mail.recipients)
        assert (copies.total(), len(set(copies.values()))) == (arrives, min(arrives, 1))
        rows = await self.recorded()
        assert _types(rows) == events
        assert len({row["id"] for row in rows}) == len(rows)
        for stream in ("MQ_default", FEEDBACK):
            await self.connection.purge(stream, "h.>")
        assert await Sweeper(self.connection, "default", orphan_age=0).sweep() == (0, swept)
        assert await self._is_empty(BODY_STREAM)
        assert "Traceback" not in self.world.log_file.read_text()[self._first_log :]
        self._is_clean = True

    # --- the crash ---

    @contextlib.contextmanager
    def parent_stopped(self) -> Iterator[None]:
        """Nobody starts again what dies meanwhile."""
        assert self.world.process
        self.world.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.world.process.send_signal(signal.SIGCONT)

    def arm(self, point: Point) -> None:
        """The next time that somebody comes by it is killed."""
        order = {name: value for name, value in asdict(point).items() if name in ("role", "match", "victim")}
        (self.folder / "new").write_text(json.dumps(order))
        (self.folder / "new").rename(self.folder / point.name)

    async def kill(self, word: str) -> None:
        """Kill a child of the parent."""
        [pid] = [pid for pid, words in processes(self.world.folder).items() if _has(words, word)]
        os.kill(pid, signal.SIGKILL)
        await until(lambda: _is_dead(pid), PATIENCE)

    async def fire(self, due: float = 0) -> None:
        """Make due, now or at a time (seconds since 1970), what is scheduled."""
        for stored in [found async for found in listing.walk(self.connection, "MQ_default", "s.>")]:
            kept = ("Nats-Schedule-Target", "Nats-Schedule-Rollup")
            headers = {name: value for name, value in stored.headers.items() if name in kept}
            headers["Nats-Schedule"] = f"@at {datetime.fromtimestamp(due, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
            await self.connection.put(Message(stored.subject, stored.body, headers))

    async def struck(self) -> None:
        """Returns when the victim is dead."""
        file = self.folder / "struck"
        await until(file.exists, PATIENCE)
        pid = int(file.read_text())
        file.unlink()
        await until(lambda: _is_dead(pid), PATIENCE)

    def _all_run(self) -> bool:
        running = processes(self.world.folder).values()
        return all(any(_has(words, name) for words in running) for name in PROCESSES)

    # --- what is there ---

    async def left(self) -> Left:
        """What lies there now."""
        # whoever records moves rows from the stream to the database: in this order none is missed
        waiting = [
            row for stored in [s async for s in listing.walk(self.connection, EVENTS_STREAM, "e.>")]
            for row in unpack(stored.body)
        ]  # fmt: skip
        recorded = await self.recorded()
        seen = {row["id"] for row in recorded}
        rows = [*recorded, *(row for row in waiting if row["id"] not in seen)]
        contents = (await self.connection.api(f"STREAM.INFO.{BODY_STREAM}"))["state"]["messages"]
        return Left(await self.kinds(), contents, _types(rows))

    async def kinds(self) -> str:
        """``q``, ``s``, ``h`` for every entry that lies there, feedback too."""
        subjects = [*await self.connection.subjects("MQ_default", ">"), *await self.connection.subjects(FEEDBACK, ">")]
        return "".join(sorted(subject[0] for subject in subjects))

    async def lies_there(self, kinds: str) -> bool:
        with contextlib.suppress(BrokerFailure):
            return await self.kinds() == kinds
        return False

    async def _is_empty(self, stream: str) -> bool:
        with contextlib.suppress(BrokerFailure):
            return bool((await self.connection.api(f"STREAM.INFO.{stream}"))["state"]["messages"] == 0)
        return False

    async def recorded(self) -> list[dict[str, Any]]:
        sql = "SELECT type, id FROM events WHERE stream_sequence >= {n:UInt64} ORDER BY stream_sequence, row_number"
        return await query(self.world, sql, n=self.first_event)


async def unreadable(broker: Broker) -> None:
    """An entry of nonsense, which is held."""
    await broker.put(Message(subjects.entry("q", make_entry(f"r@{DOMAIN}")), b"no entry"))


def _types(rows: list[dict[str, Any]]) -> str:
    """In alphabetical order: a worker may be quicker than the ``accepted`` row."""
    return " ".join(sorted(row["type"] for row in rows))


def _has(words: list[str], word: str) -> bool:
    return any(w == word or w.endswith(f"/{word}") for w in words)


def _is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
