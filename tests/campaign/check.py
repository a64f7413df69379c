"""The checker: what was sent, what the clients were told, what the sinks took and what ClickHouse says of it."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from campaign.causes import Copy, cause
from campaign.faults import Happened
from master.demo.generator import Mail, Outcome
from master.demo.sink import Sink

Row = dict[str, Any]

_MESSAGE_ID = re.compile(rb"^Message-ID: (\S+)", re.MULTILINE)
_QUEUED_AS = re.compile(rb"with ESMTP id (\w+)")
#: What a client is told that does not know whether its mail was taken (smtpd_ingress, SubmitError.unknown).
_UNSURE = "Queue did not confirm"
#: Types of events that end a delivery.
FINAL = ("delivered", "bounced", "expired")
#: How many failures are shown, and what of an event.
SHOWN = 10
TOLD = ("time", "type", "delivery", "attempt", "worker", "text", "mx_host", "stream_sequence", "row_number", "id")


@dataclass
class Sent:
    """One mail and what its client knows."""

    mail: Mail
    outcome: Outcome

    @cached_property
    def message_id(self) -> str:
        found = _MESSAGE_ID.search(self.mail[2])
        assert found
        return found[1].decode()

    @property
    def submission(self) -> str:
        """The id that the 250 named."""
        return self.outcome.text.rpartition(" ")[2]

    @property
    def unsure(self) -> int:
        """Tries that may have been taken although the client was not told so."""
        return sum(reply.code == 0 or _UNSURE in reply.text for reply in self.outcome.failed)


@dataclass
class Checker:
    """Holds the sides of a round against each other."""

    sent: list[Sent]
    sinks: Sequence[Sink]
    happened: list[Happened]
    rows: list[Row]
    """All of the table ``events``."""
    failures: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        """Find what is wrong. Raises AssertionError that names the deliveries and their events."""
        self._rows_are_there_once()
        for sent in self.sent:
            self._answered(sent)
        known = {sent.message_id for sent in self.sent}
        for message_id in {message_id for message_id, _ in self.arrived} - known:
            self._fail(f"{message_id} was never sent")
        for (submission, recipient), copies in self._by_delivery():
            self._delivery(submission, recipient, copies)
        self._accepted_rows_fit()
        assert not self.failures, "\n\n".join(
            [f"{len(self.failures)} failures, the first of them:", *self.failures[:SHOWN], *map(str, self._faults())]
        )

    @cached_property
    def arrived(self) -> dict[tuple[str, str], dict[str, list[Copy]]]:
        """By Message-ID and recipient, by submission: the copies in the order they came."""
        arrived: dict[tuple[str, str], dict[str, list[Copy]]] = defaultdict(lambda: defaultdict(list))
        copies = [Copy(sink, mail) for sink in self.sinks for mail in sink.received]
        for copy in sorted(copies, key=lambda copy: copy.mail.time):
            queued_as = _QUEUED_AS.search(copy.mail.content)
            submission = queued_as[1].decode() if queued_as else ""
            for recipient in copy.mail.recipients:
                arrived[copy.mail.message_id, recipient][submission].append(copy)
        return arrived

    def _by_delivery(self) -> Iterator[tuple[tuple[str, str], list[Copy]]]:
        for (_, recipient), submissions in self.arrived.items():
            for submission, copies in submissions.items():
                yield (submission, recipient), copies

    # --- table ---

    def _rows_are_there_once(self) -> None:
        """Exactly once: neither an id nor a place in the stream twice."""
        for what in (lambda row: row["id"], lambda row: (row["stream_sequence"], row["row_number"])):
            for key, count in Counter(map(what, self.rows)).items():
                if count > 1:
                    self._fail(f"row {key} is there {count} times", *(row for row in self.rows if what(row) == key))

    @cached_property
    def _accepted(self) -> dict[str, list[Row]]:
        accepted = defaultdict(list)
        for row in self.rows:
            if row["type"] == "accepted":
                accepted[row["submission"]].append(row)
        return accepted

    @cached_property
    def _told(self) -> dict[tuple[str, str], list[Row]]:
        """What is told of each delivery, by submission and recipient."""
        told = defaultdict(list)
        for row in sorted(self.rows, key=lambda row: (row["stream_sequence"], row["row_number"])):
            if row["delivery"]:
                told[row["submission"], row["recipient"]].append(row)
        return told

    # --- mails ---

    def _answered(self, sent: Sent) -> None:
        """Every 250 arrives, at each recipient, as it was sent; others of it only where a client was unsure."""
        if sent.outcome.code != 250 or sent.outcome.refused:
            self._fail(f"{sent.message_id} was not taken: {sent.outcome}")
            return
        others = set()
        for recipient in sent.mail[1]:
            submissions = self.arrived.get((sent.message_id, recipient), {})
            if sent.submission not in submissions:
                self._fail(f"{sent.submission} to {recipient} did not arrive", *self._events(sent.submission))
            others |= set(submissions) - {sent.submission}
            for copies in submissions.values():
                for copy in copies:
                    if _text(copy.mail.content) != _text(sent.mail[2]):
                        self._fail(f"{sent.submission} to {recipient} arrived changed", *self._events(sent.submission))
        self.counts["client sent again, not knowing that it was taken"] += len(others)
        if len(others) > sent.unsure:
            told = [(reply.code, reply.text) for reply in sent.outcome.failed]
            events = [event for other in others for event in self._events(other)]
            self._fail(f"{sent.message_id}: also taken as {others}, the client was told {told}", *events)

    def _delivery(self, submission: str, recipient: str, copies: list[Copy]) -> None:
        """A copy too many has a cause, a final event too many a copy."""
        told = self._told[submission, recipient]
        for copy, next_ in pairwise(copies):
            if why := cause(copy, next_, self.happened):
                self.counts[why] += 1
            else:
                self._fail(f"{submission} to {recipient} arrived again without a cause", *told, copies=copies)
        final = [row["type"] for row in told if row["type"] in FINAL]
        if set(final) != {"delivered"} or len(final) > len(copies):
            self._fail(f"{submission} to {recipient} ended as {final}", *told, copies=copies)
        if any(row["type"] == "held" for row in told):
            self._fail(f"{submission} to {recipient} was held", *told)

    def _accepted_rows_fit(self) -> None:
        """Each 250 has one row, which names its recipients; no row without mail; mail without row only without 250."""
        expected = {sent.submission: sent for sent in self.sent}
        finished: dict[str, set[str]] = defaultdict(set)
        for (submission, recipient), told in self._told.items():
            if any(row["type"] in FINAL for row in told):
                finished[submission].add(recipient)
        for submission in {*expected, *self._accepted, *finished}:
            rows = self._accepted.get(submission, [])
            recipients = sorted(address for row in rows for address in row["recipients"])
            if rows and recipients != sorted(finished[submission]):
                self._fail(f"{submission}: accepted for {recipients}", *self._events(submission))
            elif not rows and submission in expected:
                self._fail(f"{submission}: answered 250 and no row", *self._events(submission))
            elif not rows:
                self.counts["without 250 and without accepted row"] += 1

    # --- failures ---

    def _events(self, submission: str) -> list[Row]:
        told = [row for (one, _), rows in self._told.items() if one == submission for row in rows]
        return self._accepted.get(submission, []) + told

    def _fail(self, what: str, *events: Row, copies: Iterable[Copy] = ()) -> None:
        lines = [what, *(f"  event {' '.join(str(row[name]) for name in TOLD)}" for row in events)]
        lines += [f"  taken by {copy.sink.hostname} at {copy.mail.time:.3f}, told: {copy.mail.told}" for copy in copies]
        self.failures.append("\n".join(lines))

    def _faults(self) -> Iterator[str]:
        for one in self.happened:
            yield f"{one.since:.3f} to {one.until:.3f} {one}"


def _text(content: bytes) -> bytes:
    """What follows the header section."""
    return content[content.find(b"\r\n\r\n") :]
