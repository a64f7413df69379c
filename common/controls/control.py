"""A control: a standing order, what it matches, and its stored form (JSON)."""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self

from common.codes import printable
from common.entry import Entry
from common.subjects import Kind, selected

VERSION = 1
#: Characters of a header field's value that are kept.
_MAX_VALUE = 200


class Action(StrEnum):
    """What is done with the mail that matches."""

    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which mail an order is about. ``""`` says nothing; of several all must hold."""

    id: str = ""
    """Of a submission or of a delivery."""
    campaign: str = ""
    tag: str = ""
    sender: str = ""
    """An address, or ``@domain``; lower case."""
    domain: str = ""
    """The recipient's, as DNS knows it: lower-case A-labels."""
    pool: str = ""
    header: str = ""
    """``name: value``: the name in lower case, the value as it stands in the field (``Entry.headers``)."""

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in MATCHERS)

    def __str__(self) -> str:
        """As it is written on the command line."""
        return " ".join(f"{name}={value}" for name in MATCHERS if (value := getattr(self, name)))

    def covers(self, entry: Entry) -> bool:
        """Whether an entry is meant."""
        return (
            self.id in ("", entry.submission, entry.id)
            and self.campaign in ("", entry.campaign)
            and self.pool in ("", entry.pool)
            and self.domain in ("", entry.domain)
            and (not self.tag or self.tag in entry.tags)
            and (not self.sender or self.sender in senders(entry))
            and (not self.header or self.header in headers(entry))
        )

    @property
    def is_exact(self) -> bool:
        """Whether ``filter`` selects what is meant and nothing else."""
        return not (self.tag or self.sender or self.domain or self.header)

    @property
    def covers_domain(self) -> bool:
        """Whether all mail to ``domain`` (of ``pool``) is meant, whatever else it is."""
        return not (self.id or self.campaign or self.tag or self.sender or self.header)

    def filter(self, kind: Kind, pool: str) -> str:
        """The narrowest filter for entries of one kind in one pool."""
        return selected(kind, pool, domain=self.domain, campaign=self.campaign, id_=self.id)


MATCHERS = tuple(f.name for f in fields(Match))


def senders(entry: Entry) -> tuple[str, str]:
    """What ``Match.sender`` may name of an entry."""
    sender = entry.sender.lower()
    return sender, sender[sender.rfind("@") :] if sender else ""


def headers(entry: Entry) -> list[str]:
    """What ``Match.header`` may name of an entry."""
    return [f"{name}: {value}" for name, value in entry.headers.items()]


def kept_value(text: str) -> str:
    """A header field's value as entries keep it."""
    return printable(text.strip()[:_MAX_VALUE])


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A standing order. Times are seconds since 1970; 0: none."""

    id: str
    action: Action
    match: Match
    reason: str
    by: str
    """Who gave it: user@host."""
    since: float
    until: float = 0
    """When it ends by itself."""
    report: bool = False
    """Whether the senders of what is stopped are told."""
    ended: float = 0
    """When it was to end. It is obeyed on until the mover has brought its work to an end (``released``)."""
    ended_by: str = ""
    released: bool = False
    """Nobody obeys it any more; what it holds is on its way back."""
    revision: int = field(default=0, compare=False)
    """Where it lies in the stream; who has read as far knows it."""

    def __str__(self) -> str:
        verb = "paused" if self.action is Action.PAUSE else "stopped"
        return f"{verb} by {self.by}: {self.reason} (order {self.id})"

    def is_over(self, now: float) -> bool:
        """Whether it is to end."""
        return bool(self.ended) or 0 < self.until <= now

    def but(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def pack(self) -> bytes:
        """The stored form."""
        values = asdict(self)
        del values["revision"]
        values["match"] = {name: value for name, value in values["match"].items() if value}
        return json.dumps({"v": VERSION, **values}).encode()

    @classmethod
    def unpack(cls, data: bytes, revision: int = 0) -> "Control":
        """The opposite of ``pack``; names it does not know are ignored. Raises ValueError."""
        try:
            values = json.loads(data)
            known = {name: values[name] for name in _NAMES if name in values}
            known["match"] = Match(**values["match"])  # a matcher that is not known would make it match more
            known["action"] = Action(values["action"])
            order = cls(**known, revision=revision)
            version = values["v"]
        except Exception as error:
            raise ValueError(f"not an order: {error!r}") from error
        if version != VERSION:
            raise ValueError(f"order of schema version {version}; this is version {VERSION}")
        if not order.match:
            raise ValueError("an order about nothing")
        return order


_NAMES = {f.name for f in fields(Control)} - {"revision"}
