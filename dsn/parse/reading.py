"""A mail that came back, read in the order of certainty: reports for machines first, then words."""

from dataclasses import replace
from functools import cached_property

from dsn.parse import automatic, bounce, complaint, notification, original, report, unruly, words
from dsn.parse.fields import decoded, first, first_address, message_ids, typed_address
from dsn.parse.mime import READ, leaves
from dsn.parse.reply import codes
from dsn.parse.result import ARRIVED, NO_FIELDS, Feedback, Fields, Kind, Original, Recipient

_ANSWERS = ("in-reply-to", "references", "x-original-message-id")
_RE = ("re:", "aw:", "sv:", "antw:", "vs:", "rv:", "odp:")


def parse(message: bytes) -> Feedback:
    """What a mail says that came back: bounce, complaint, auto-reply, reply … Any bytes will do; nothing is raised.

    The work is bounded (``mime``), so a mail of 50 MB takes no longer than one of 4. Nothing of the result is to be
    trusted: who knows an address can write all of it.
    """
    return _Mail(message).read()


class _Mail:
    """One mail, and what several ways of reading it need."""

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.root, self.parts = leaves(message)
        self.words = bounce.text_of(self.parts)

    def read(self) -> Feedback:
        ways = (self._report, self._complaint, self._notification, self._receipt, self._bounce, self._automatic)
        return next(filter(None, (way() for way in ways)), None) or self._answer()

    @cached_property
    def _about(self) -> Original:
        return self._original()

    def _original(self, quoted: Fields = NO_FIELDS, envelope_id: str = "") -> Original:
        own = {name: self.root.fields[name] for name in _ANSWERS if name in self.root.fields}
        return original.of(self.parts, self.words.returned, {**own, **quoted}, self.words.text, envelope_id)

    def _feedback(self, kind: Kind, rule: str, original: Original) -> Feedback:
        return Feedback(
            kind=kind,
            rule=rule,
            sender=first_address(decoded(first(self.root.fields, "from"))),
            subject=decoded(first(self.root.fields, "subject")),
            message_id=next(iter(message_ids(first(self.root.fields, "message-id"))), ""),
            original=original,
        )

    def _report(self) -> Feedback | None:
        found = report.read(self.parts)
        inner = self._attached_report(found is not None)
        if inner is not None:
            recipients = (*found.recipients, *inner.recipients) if found else inner.recipients
            found = inner._replace(recipients=recipients)
        if found is None:
            return None
        about = self._original(NO_FIELDS, first(found.fields, "original-envelope-id"))
        if any(one.failed or not one.text for one in found.recipients):
            found = found._replace(recipients=self._explained(found.recipients))
        return replace(
            self._feedback(Kind.REPORT, "rfc3464", about),
            recipients=found.recipients, reporting_mta=found.reporting_mta, fields=found.fields,
        )  # fmt: skip

    def _attached_report(self, is_report: bool) -> report.Report | None:
        """Of a bounce that holds a bounce, and the mail that somebody sent in that: gateways pass on so what they were
        told, and postmasters are told so of bounces that reached nobody."""
        for part in self.parts:
            if part.type != "message/rfc822" or not part.holds("multipart/report"):
                continue
            if is_report or bounce.outcome(self.root, self.words.text):
                _, parts = leaves(part.data(READ))
                if found := report.read(parts):
                    self.parts = parts
                    return found
        return None

    def _explained(self, recipients: tuple[Recipient, ...]) -> tuple[Recipient, ...]:
        """With what the words say: of all when it was said, of those without a Diagnostic-Code what."""
        told = words.told_of(self.words.text, [one.recipient for one in recipients])
        return tuple(self._explain(one, told.get(one.recipient.lower())) for one in recipients)

    def _explain(self, recipient: Recipient, told: words.Told | None) -> Recipient:
        if not told or recipient.action in ARRIVED:  # nothing to explain
            return recipient
        recipient = replace(recipient, phase=told.phase, target=recipient.target or told.target)
        if recipient.text or not told.text:
            return recipient
        said = codes(told.text)
        known = [one for one in (said.enhanced, recipient.enhanced_code) if one and not one.endswith(".0.0")]
        enhanced = next(iter(known), said.enhanced or recipient.enhanced_code)
        return replace(recipient, text=told.text, code=said.code, enhanced_code=enhanced)

    def _complaint(self) -> Feedback | None:
        about = self._about
        found = complaint.read(self.parts, about.fields)
        if found is None:
            return None
        if found.rule == "xarf":
            about = original.of([], complaint.sample_of_xarf(self.parts), NO_FIELDS, "")
        else:
            about = self._original(found.complaint.fields, first(found.complaint.fields, "original-envelope-id"))
        feedback = self._feedback(found.kind, found.rule, about)
        return replace(feedback, about=found.about, complaint=found.complaint)

    def _notification(self) -> Feedback | None:
        found = notification.read(self.words.text)
        if found is None or not (found.recipients or found.about):
            return None
        about = Original(tuple(dict.fromkeys(found.message_ids)), fields=found.header)
        return replace(
            self._feedback(found.kind, "ses", about),
            recipients=found.recipients, about=found.about, complaint=found.complaint,
            reporting_mta=found.reporting_mta,
        )  # fmt: skip

    def _receipt(self) -> Feedback | None:
        found = automatic.receipt(self.parts)
        if not found:
            return None
        about = typed_address(first(found, "final-recipient", "original-recipient"))
        feedback = self._feedback(Kind.RECEIPT, "rfc8098", self._original(found))
        return replace(feedback, about=(about,) if about else (), fields=found)

    def _bounce(self) -> Feedback | None:
        about = self._about
        found = bounce.read(self.root, self.words, about) or unruly.read(self.message, self.root, self.words.text)
        if found is None:
            return None
        return replace(self._feedback(Kind.REPORT, found.rule, about), recipients=found.recipients)

    def _automatic(self) -> Feedback | None:
        found = automatic.read(self.root, self.words.text)
        if found is None:
            return None
        feedback = self._feedback(*found, self._about)
        return replace(feedback, about=(feedback.sender,) if feedback.sender else ())

    def _answer(self) -> Feedback:
        feedback = self._feedback(Kind.OTHER, "", self._about)
        answers = any(name in self.root.fields for name in _ANSWERS) or feedback.subject.lower().startswith(_RE)
        return replace(feedback, kind=Kind.REPLY if answers else Kind.OTHER)
