"""Reports on what became of mail: who is told, and the original fetched for it."""

import time

import structlog

from common import content
from common.broker import BrokerFailure, Stored
from common.content import BodyRef, CorruptError
from common.entry import Entry
from common.event import Event
from common.queue.bodies import Bodies, MissingError
from common.queue.reports import Kind, report_on
from common.queue.room import ReportRoom
from common.queue.take import GoneError, Taker
from common.queue.taken import Taken
from outbound import notify, report

log = structlog.get_logger()

#: Bytes of a report without the original, about.
OWN_SIZE = 4000


class Reporter:
    """Makes the reports of one worker. ``expire`` in seconds."""

    def __init__(self, taker: Taker, room: ReportRoom, hostname: str, expire: float) -> None:
        self._taker, self._room, self._hostname, self._expire = taker, room, hostname, expire

    def has_room(self, entry: Entry) -> bool:
        """Whether there is room for the report on an entry that failed; where nobody is told there always is."""
        return self._room.reports or not (notify.of_failure(entry) and self.is_told(entry))

    async def about(self, taken: Taken, row: Event) -> Entry | None:
        """The report on a delivery that failed with ``row``, or None where nobody is told. Raises BrokerFailure."""
        if not (notify.of_failure(taken.entry) and self.is_told(taken.entry)):
            return None
        return await self._about(taken, row, Kind.END)

    async def relayed(self, taken: Taken, row: Event) -> Entry | None:
        """The report on a delivery that ended with ``row``, whose sender wants to know; None where it cannot be made.

        The mail is delivered: nothing may make it wait.
        """
        if not self.is_told(taken.entry) or not self._may_take_room(taken.entry):
            return None
        try:
            return await self._about(taken, row, Kind.END)
        except BrokerFailure as error:
            log.warning("%s: its sender is not told that it was passed on: %s", taken.entry.id, error)
            return None

    async def delayed(self, taken: Taken, row: Event, kind: Kind, until: float) -> Entry | None:
        """The report on a delay, or None where there is no room for it; ``until``: seconds since 1970.

        Raises BrokerFailure.
        """
        return await self._about(taken, row, kind, until) if self._may_take_room(taken.entry) else None

    async def _about(self, taken: Taken, row: Event, kind: Kind, until: float = 0) -> Entry | None:
        self._room.took(min(taken.entry.size, report.LIMIT) + OWN_SIZE, 0)
        try:
            original = content.head(await self._beginning(taken), report.LIMIT + 1)
        except GoneError:  # refused or removed meanwhile: not ours to report
            return None
        except (MissingError, CorruptError) as error:
            log.warning("%s: reported without its content: %s", taken.entry.id, error)
            original = None
        entry, now = taken.entry, time.time()
        message = report.build(entry, row, self._hostname, original, kind, until)
        identifier = report.message_id(entry, self._hostname, kind)
        return report_on(entry, message, identifier, now, now + self._expire, kind)

    async def about_stopped(self, stored: Stored, entry: Entry, row: Event) -> Entry | None:
        """``about`` for an entry that no worker took, of any pool; None too where there is no room.

        A stop makes room, so it does not wait for it. Raises BrokerFailure.
        """
        if not self.has_room(entry):
            log.warning("%s: stopped, and its sender is not told: no room for reports", entry.id)
            return None
        return await self.about(Taken(stored.subject, entry, [], maybe_tried=False), row)

    def is_told(self, entry: Entry) -> bool:
        """Not the null sender, so no report is ever about a report (RFC 5321 4.5.5), and not ourselves."""
        return "@" in entry.sender and entry.sender.lower() != report.address(self._hostname).lower()

    def _may_take_room(self, entry: Entry) -> bool:
        """Whether there is room for a report that nobody waits for."""
        if not self._room.reports:
            log.warning("%s: its sender is not told what became of it: no room for reports", entry.id)
        return self._room.reports

    async def _beginning(self, taken: Taken) -> bytes:
        """The stored form of the original, or enough of it. Raises GoneError and what bodies raise."""
        entry = taken.entry
        if isinstance(entry.content, BodyRef):
            return await Bodies(self._taker.broker, entry.pool).beginning(entry.submission, entry.content)
        return await self._taker.content(taken)
