"""What is done with a mail that came back: read, matched, told of, passed on. In that order, each step repeatable."""

import asyncio
import time
from pathlib import Path

import structlog

from common import content, metrics
from common.broker import Broker, BrokerFailure
from common.config import Config
from common.content import INLINE_LIMIT, BodyRef, CorruptError
from common.counting import count
from common.entry import DEFAULT_POOL, FEEDBACK_POOL, Entry
from common.errors import ConfigError
from common.event import Event, Type
from common.policies.policies import Policies
from common.queue import reports
from common.queue.bodies import Bodies, MissingError
from common.queue.room import ReportRoom
from common.queue.rows import message as rows_message
from common.queue.strikes import PoisonError, Strikes
from common.recipients import read_key
from common.suppression.changes import suppress
from common.verp import Token
from common.verp_keys import Keyring
from dsn import effects, matching, passing_on, replies
from dsn.answered import claim
from dsn.history import Delivery, History
from dsn.inbox import Inbox, Letter, NotNowError
from dsn.matching import How, Match
from dsn.parse import Feedback, parse
from dsn.rows import rows

log = structlog.get_logger()

#: Seconds for which a delivery that a token names is looked for: what has happened to it may not be recorded yet.
PATIENCE = 60.0
_LOOK_AGAIN = 2.0


class Desk:
    """Works on the feedback of one process; ``name`` stands in its events."""

    def __init__(
        self,
        name: str,
        config: Config,
        broker: Broker,
        inbox: Inbox,
        history: History,
        strikes: Strikes,
        room: ReportRoom,
        policies: Policies,
    ) -> None:
        self._name, self._config, self._broker, self._inbox = name, config, broker, inbox
        self._history, self._strikes, self._room, self._policies = history, strikes, room, policies
        self._keyring = Keyring(config.feedback, config.data_dir)
        self._bodies = Bodies(broker, FEEDBACK_POOL)
        self._template = _template(config.auto_reply.text)

    async def handle(self, letter: Letter) -> None:
        """See ``dsn.inbox.Handle``. What cannot be read, or is the end of us, is held."""
        try:
            await self._handle(letter)
        except (MissingError, CorruptError) as error:
            await self._inbox.hold(letter, str(error), "unreadable")
        except PoisonError as error:
            await self._inbox.hold(letter, str(error), "poison")
        except (BrokerFailure, NotNowError):
            raise
        except Exception as error:
            await self._raised(letter, error)
            raise

    async def _handle(self, letter: Letter) -> None:
        entry = letter.entry
        stored = await self._content(entry)
        message = content.load(stored)
        async with self._strikes.around(entry):
            feedback = parse(message)
            match = matching.by_token(entry, feedback, message, self._keyring.tokens())
        match, known = await self._find(entry, feedback, match)
        known = known and matching.with_address(known, feedback, self._recipients_key())
        if letter.maybe_seen:
            await self._history.caught_up()
        made = rows(entry, feedback, match, known, self._name, self._policies.classes)
        if not (letter.maybe_seen and await self._history.has_row(made[0].id)):
            await self._inbox.store(rows_message(FEEDBACK_POOL, made))
        if new := effects.suppressed(self._config.suppression, made, match, known):
            await suppress(self._broker, self._config.suppression, new, made[0].pool)
        await self._answer(letter, match, known, feedback, message)
        if match.how is How.RETURN_PATH and match.token and known:
            await self._pass_on(letter, match.token, known, feedback, message)
        self._tell(entry, made[0])

    def _recipients_key(self) -> bytes | None:
        """Of recipients that are recorded hashed. Raises ConfigError."""
        return read_key(self._config.data_dir) if self._config.events.recipients == "hashed" else None

    async def _content(self, entry: Entry) -> bytes:
        """The stored form. Raises MissingError, CorruptError, BrokerFailure."""
        if isinstance(entry.content, BodyRef):
            return await self._bodies.get(entry.submission, entry.content)
        if entry.content is None:
            raise MissingError("the entry has no content")
        return entry.content

    async def _find(self, entry: Entry, feedback: Feedback, match: Match | None) -> tuple[Match, Delivery | None]:
        """The delivery that it is about, and what events know of it."""
        if match:
            return match, await self._known(match.delivery, until=entry.accepted + PATIENCE)
        if not (match := await self._quoted(feedback)) and matching.quoted(feedback):
            await self._history.caught_up()
            match = await self._quoted(feedback)
        if match:
            return match, await self._known(match.delivery or f"{match.submission}-0")
        return Match(How.NOTHING), None

    async def _quoted(self, feedback: Feedback) -> Match | None:
        """By an envelope id or a Message-ID."""
        for how, identifier in matching.quoted(feedback):
            found = await self._history.messages(identifier)
            if match := matching.by_quoted(how, feedback, found, self._recipients_key()):
                return match
        return None

    async def _known(self, delivery: str, until: float = 0.0) -> Delivery | None:
        """What is recorded of a delivery. Of what is none by then (seconds since 1970) nobody knows any more."""
        while not (known := await self._history.delivery(delivery)):
            await self._history.caught_up()
            if (known := await self._history.delivery(delivery)) or time.time() > until:
                return known
            await asyncio.sleep(_LOOK_AGAIN)
        return known

    async def _pass_on(
        self, letter: Letter, token: Token, known: Delivery, feedback: Feedback, message: bytes
    ) -> None:
        settings, entry = self._config.feedback, letter.entry
        if replies.is_forwarded(feedback, message, settings.forward_replies, settings.domain):
            return
        if not (settings.pass_on and passing_on.is_wanted(token, known, feedback, message, settings.domain)):
            return
        now, expire = time.time(), self._config.delivery.expire
        message = passing_on.as_passed_on(message, token, feedback, settings.domain)
        pool = known.pool if known.pool in self._config.pools else ""
        await self._send(letter, passing_on.entry_of(entry, known, len(message), pool, now, now + expire), message)

    async def _answer(
        self, letter: Letter, match: Match, known: Delivery | None, feedback: Feedback, message: bytes
    ) -> None:
        """See to what a person wrote. Strangers who have no token get no answer: their sender may be anybody."""
        config, entry, now = self._config, letter.entry, time.time()
        domain, expires = config.feedback.domain, now + config.delivery.expire
        if replies.is_forwarded(feedback, message, to := config.feedback.forward_replies, domain):
            await self._send(letter, *replies.forwarded(entry, known, to, message, domain, expires))
        own = (domain, config.hostname)
        if not (self._template and match.how.is_proof and (to := replies.answer_to(entry, feedback, message, own))):
            return
        if await claim(self._broker, to, config.auto_reply.every, entry.id):
            made = replies.answer(
                config.auto_reply, self._template, entry, known, message, config.hostname, now, expires
            )
            await self._send(letter, *made)

    async def _send(self, letter: Letter, passed: Entry, message: bytes) -> None:
        """Queue a mail of ours, once. Raises NotNowError."""
        if passed.pool not in self._config.pools:
            passed = passed.but(pool=DEFAULT_POOL)
        if letter.maybe_seen and await self._history.has_row(passed.submission):
            return
        if not (letter.maybe_seen and await self._history.has_submission(passed.submission)):
            await self._queue(passed, content.store(message))
        await self._inbox.store(reports.accepted(passed))
        about, what = passed.meta[reports.ABOUT], passed.meta[reports.KIND]
        log.info("%s: %s %s to <%s>: %s", about, letter.entry.id, what, passed.recipient, passed.submission)

    async def _queue(self, passed: Entry, stored: bytes) -> None:
        """Queue what is passed on. Raises NotNowError."""
        if not self._room.reports:  # outcomes need what is left of the store
            raise NotNowError("no room to pass it on")
        self._room.took(len(stored), 0)
        if len(stored) <= INLINE_LIMIT:
            passed = passed.but(content=stored)
        else:
            passed = passed.but(content=await Bodies(self._broker, passed.pool).put(passed.submission, stored))
        await self._inbox.store(reports.stored(passed))

    def _tell(self, entry: Entry, row: Event) -> None:
        count(metrics.FEEDBACK, row.type, row.phase)
        status = f", dsn={row.enhanced_code}" if row.type == Type.DSN else ""
        log.info(
            f"{entry.id}: feedback from [{entry.client_address}], {row.type}, about={row.delivery} by {row.phase}"
            f"{status} ({row.reason}: {row.text})"
        )

    async def _raised(self, letter: Letter, error: Exception) -> None:
        """A mistake of ours: another try when it is handed out again, held when that was tried often."""
        try:
            await self._strikes.raised(letter.entry, error)
        except PoisonError as poison:
            await self._inbox.hold(letter, str(poison), "poison")


def _template(file: str) -> str:
    """The text of answers; ``""`` where there is none. Raises ConfigError."""
    if not file:
        return ""
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"auto_reply.text: {file} cannot be read: {error}") from None
