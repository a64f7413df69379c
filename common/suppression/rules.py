"""What leads to a suppression, for whose mail and for how long: ``[suppression]`` of the configuration."""

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from common.event import Event, Type
from common.section import Duration, Section, written
from common.suppression.suppression import MAX_REASON, REPORTED, Source, Suppression, folded, scopes

Scope = Literal["off", "sender", "domain", "everybody"]
#: Their places in ``scopes``.
_PLACES = {"everybody": 0, "domain": 1, "sender": 2}
_SCOPE = "for mail of the same envelope sender, of its domain, or of everybody; off suppresses nobody"


class Rules(Section):
    """Recipients that mail is not sent to: docs/how-to/suppression.md."""

    at_rcpt: Literal["refuse", "accept"] = Field(
        "refuse",
        description="refuse: RCPT is answered 550, and who has queued mail to one is told; accept: it is taken, not "
        "sent, and nobody is told; in both cases there is an event",
    )
    hard_bounces: Scope = Field("domain", description=f"who is refused for good; {_SCOPE}")
    complaints: Scope = Field("domain", description=f"who complained of mail; {_SCOPE}")
    unsubscribes: Scope = Field("domain", description=f"who unsubscribed; {_SCOPE}")
    soft_bounces: Scope = Field("domain", description=f"whose mail failed too often; {_SCOPE}")
    soft_count: int = Field(5, ge=1, le=100, description="mails given up, and none delivered in between, are too often")
    soft_within: Duration = written("30d", description="the time in which they have to fall")
    soft_classes: list[str] = Field(
        [
            "mailbox-full", "inactive-mailbox", "invalid-recipient", "bad-domain", "moved", "dns-failure", "network",
            "no-answer", "expired",
        ],
        description="classes of soft bounces that count (docs/bounce-classes.md); others say more of the sender",
    )  # fmt: skip
    keep_hard: Duration = written("90d", description="how long who bounced is suppressed; 0 is for ever")
    keep_soft: Duration = written("30d", description="likewise of soft bounces")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.soft_within < 1:
            raise ValueError("soft_within: 1s is the least")
        return self

    def bounced(self, row: Event) -> Suppression | None:
        """What a delivery that has failed with ``row`` leads to; a soft bounce is one that is to be counted.

        Mail of the null sender leads to nothing: nobody's mail would be held back by it.
        """
        if row.type not in (Type.BOUNCED, Type.EXPIRED, Type.DSN) or not row.sender:
            return None
        hard = row.bounce_type == "hard"
        if not hard and not (row.bounce_type == "soft" and row.bounce_class in self.soft_classes):
            return None
        why = f"{row.bounce_class}: {row.code or ''} {row.enhanced_code} {row.text}".replace("  ", " ").strip()
        if hard:
            return self._of(row, self.hard_bounces, Source.BOUNCE, why, self.keep_hard)
        counted = self._of(row, self.soft_bounces, Source.COUNTED, why, self.soft_within)
        of = f"{row.delivery}{REPORTED}" if row.type == Type.DSN else row.delivery
        return counted and replace(counted, bounces=((row.time, of),))

    def complained(self, row: Event) -> Suppression | None:
        """What a complaint about the delivery of ``row`` leads to."""
        return self._of(row, self.complaints, Source.COMPLAINT, row.text, 0)

    def unsubscribed(self, row: Event) -> Suppression | None:
        """What it leads to that the recipient of ``row`` wants no more mail of its sender."""
        return self._of(row, self.unsubscribes, Source.UNSUBSCRIBE, row.text, 0)

    def counted(self, there: Suppression | None, new: Suppression) -> Suppression:
        """A soft bounce together with those before it: still counted, or a suppression where they are too many."""
        first = new.since - self.soft_within
        again = {of for _, of in new.bounces}
        known = [one for one in there.bounces if one[0] > first and one[1] not in again] if there else []
        bounces = (*known, *new.bounces)[-self.soft_count :]
        if len(bounces) < self.soft_count:
            return replace(new, bounces=bounces)
        until = new.since + self.keep_soft if self.keep_soft else 0
        reason = f"{len(bounces)} mails given up, the last one: {new.reason}"[:MAX_REASON]
        return replace(new, source=Source.SOFT_BOUNCES, reason=reason, until=until, bounces=bounces)

    def _of(self, row: Event, scope: Scope, source: Source, reason: str, keep: float) -> Suppression | None:
        if scope == "off" or "@" not in row.recipient:  # where events keep no addresses it may be a hash
            return None
        own = scopes(row.sender)
        return Suppression(
            recipient=folded(row.recipient),
            scope=own[min(_PLACES[scope], len(own) - 1)],
            source=source,
            reason=reason[:MAX_REASON],
            since=row.time,
            until=row.time + keep if keep else 0,
            by=row.delivery,
        )
