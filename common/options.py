"""Options of a submission, however they were given: names and texts in, an Options value out.

The names are those of the header fields without ``X-Postjet-``: pool, priority, delay, schedule, tag, meta-<key>,
notify, ret, envid, expire, unsubscribe, webhook. Listeners and users have defaults under the same names.
"""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Self

from common import xtext
from common.codes import printable
from common.units import parse_duration

DEFAULT_PRIORITY = 4
#: Seconds; the same day of the next year is within it. Schedules of the broker overflow in 2262.
MAX_AHEAD = 366 * 86400
#: A time less than so many seconds ahead is now: the broker's schedules are about 0.2 s late.
SOON = 1.0
#: Tags and meta stand in every entry and every event of a mail: bytes of a tag, of all keys and values of meta.
MAX_TAGS, MAX_TAG, MAX_META = 10, 128, 2000
#: RFC 3461 4.4, in xtext.
MAX_ENVID = 100
META = "meta-"
#: The key of ``meta`` that reports have for themselves (``common.queue.reports``).
RESERVED = "report_of"

_PRINTABLE = re.compile(r"[ -~]+")
_NUMBER = re.compile(r"[0-9]{1,12}")
_UNIX_TIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# RFC 3339 5.6; a blank for the T is what people write.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_YES_NO = {"yes": True, "no": False, "true": True, "false": False}
_NOTIFY = ("SUCCESS", "FAILURE", "DELAY")


class OptionError(ValueError):
    """An option that cannot be taken; the message says why, ``name`` is which one."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


class When(NamedTuple):
    """``delay`` seconds from a beginning or, where that is 0, ``at`` seconds since 1970."""

    delay: float = 0
    at: float = 0

    def after(self, beginning: float) -> float:
        """The time meant, both in seconds since 1970."""
        return beginning + self.delay if self.delay else self.at


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What one layer says: a command's parameters, the header, a login, a listener. None: it does not say."""

    pool: str | None = None
    priority: int | None = None
    later: When | None = None
    """When to send it; counted from acceptance."""
    tags: tuple[str, ...] | None = None
    """The first is the campaign."""
    meta: dict[str, str] | None = None
    notify: str | None = None
    """As ``common.entry.Entry.notify``; ``ret`` and ``envid`` likewise."""
    ret: str | None = None
    envid: str | None = None
    unsubscribe: bool | None = None
    """Whether it leaves with a link to unsubscribe."""
    expire: When | None = None
    """When to give up; counted from acceptance, for mail sent later from its due time."""
    webhook: str | None = None
    """The endpoint that is told what becomes of it, by its name."""

    def over(self, weaker: Self) -> Self:
        """Both layers as one: what this one does not say is what the weaker says; meta key by key."""
        if weaker is NOTHING or self is NOTHING:  # as a rule
            return self if weaker is NOTHING else weaker
        said = {name: value for name in _NAMES if (value := getattr(self, name)) is not None}
        if self.meta and weaker.meta:
            said["meta"] = weaker.meta | self.meta
        return dataclasses.replace(weaker, **said)

    def due(self, accepted: float) -> float:
        """When to send what is accepted now, seconds since 1970; 0: at once."""
        due = self.later.after(accepted) if self.later else 0.0
        return due if due >= accepted + SOON else 0.0


_NAMES = tuple(field.name for field in dataclasses.fields(Options))
NOTHING = Options()


class _Where(NamedTuple):
    """What a text is read by: the time, seconds since 1970, and the pools and webhooks one may choose from."""

    now: float
    pools: Collection[str]
    webhooks: Collection[str]


def read(
    given: Mapping[str, Sequence[str]], now: float, pools: Collection[str], webhooks: Collection[str] = ()
) -> Options:
    """The options that these texts set, by name; several texts only for ``tag``. A tag that is given twice counts once.

    ``schedule`` is ignored where ``delay`` is given. Raises OptionError.
    """
    where = _Where(now, pools, webhooks)
    said: dict[str, Any] = {}
    meta: dict[str, str] = {}
    for name, texts in given.items():
        if name == "tag":
            said["tags"] = _tags(texts)
        elif name not in _READERS and not name.startswith(META):
            raise OptionError(name, "no option of this version; remove the field")
        elif len(texts) > 1:
            raise OptionError(name, "given twice; keep one of them")
        elif name.startswith(META):
            meta[_key(name)] = _text(name, texts[0])
            if sum(len(key) + len(value) for key, value in meta.items()) > MAX_META:
                raise OptionError(name, f"too much; at most {MAX_META} characters in all X-Postjet-Meta fields")
        elif name != "schedule" or "delay" not in given:
            field, reader = _READERS[name]
            said[field] = reader(texts[0].strip(), where)
    if meta:
        said["meta"] = meta
    return Options(**said) if said else NOTHING


def written_options(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Options as a configuration has them, for ``read``: numbers, lists, and ``tags`` and ``meta`` as the API names
    them."""
    texts: dict[str, list[str]] = {}
    for name, value in given.items():
        if name == "meta" and isinstance(value, Mapping):
            texts |= written_options({f"{META}{key}": item for key, item in value.items()})
        else:
            values = value if isinstance(value, list | tuple) else [value]
            texts["tag" if name == "tags" else name] = [str(item) for item in values]
    return texts


def parse_time(text: str) -> float:
    """A time of RFC 3339 in seconds since 1970. Raises ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text.upper()).timestamp()  # it wants capitals


def parse_notify(text: str) -> str:
    """RFC 3461 4.1 in capitals: NEVER alone, or a list without repeats. Raises ValueError."""
    events = text.upper().split(",")
    if events != ["NEVER"] and (len(set(events)) != len(events) or not set(events) <= set(_NOTIFY)):
        raise ValueError(text)
    return ",".join(events)


def _tags(texts: Sequence[str]) -> tuple[str, ...]:
    tags = dict.fromkeys(_text("tag", text) for text in texts)
    for tag in tags:
        if "," in tag:
            raise _bad("tag", tag, "has a comma; one field for each tag")
        if len(tag) > MAX_TAG:
            raise _bad("tag", tag, f"is too long; at most {MAX_TAG} characters")
    if len(tags) > MAX_TAGS:
        raise OptionError("tag", f"given too often; at most {MAX_TAGS} tags")
    return tuple(tags)


def _key(name: str) -> str:
    key = name.removeprefix(META)
    if not _KEY.fullmatch(key) or key == RESERVED:
        raise OptionError(name, "no such key; use others, of letters, digits, - and _, at most 64")
    return key


def _text(name: str, text: str) -> str:
    """Words of printable ASCII with one blank between them."""
    words = " ".join(text.split())
    if not _PRINTABLE.fullmatch(words):
        raise _bad(name, text, "must be text of printable ASCII")
    return words


def _pool(text: str, where: _Where) -> str:
    if text not in where.pools:
        raise _bad("pool", text, f"is no pool here; there are {', '.join(where.pools)}")
    return text


def _priority(text: str, _: _Where) -> int:
    if not re.fullmatch("[0-9]", text):
        raise _bad("priority", text, "must be 0 to 9; 9 is the most urgent")
    return int(text)


def _delay(text: str, _: _Where) -> When:
    if not _NUMBER.fullmatch(text):
        raise _bad("delay", text, "must be whole seconds, such as 3600")
    if int(text) > MAX_AHEAD:
        raise _bad("delay", text, f"is more than a year; at most {MAX_AHEAD} seconds")
    return When(delay=int(text))


def _schedule(text: str, where: _Where) -> When:
    try:
        at = float(text) if _UNIX_TIME.fullmatch(text) else parse_time(text)
    except ValueError:
        raise _bad(
            "schedule", text, "must be a time such as 2027-01-31T08:00:00+01:00, or in Unix seconds"
        ) from None
    if at > where.now + MAX_AHEAD:
        raise _bad("schedule", text, "is more than a year ahead; choose an earlier time")
    return When(at=at)


def _notify(text: str, _: _Where) -> str:
    try:
        return parse_notify(re.sub(r"\s+", "", text))
    except ValueError:
        raise _bad("notify", text, "must be NEVER, or some of SUCCESS,FAILURE,DELAY, each once") from None


def _expire(text: str, where: _Where) -> When:
    """A duration, or a time of RFC 3339."""
    try:
        expire = When(at=parse_time(text)) if _TIME.fullmatch(text) else When(delay=parse_duration(text))
    except ValueError:
        raise _bad("expire", text, "must be seconds, a duration or a time, such as 3600, 90m or 2d") from None
    if not 1 <= expire.after(where.now) - where.now <= MAX_AHEAD:
        raise _bad("expire", text, f"must be 1 second to a year ahead ({MAX_AHEAD} seconds)")
    return expire


def _unsubscribe(text: str, _: _Where) -> bool:
    if text.lower() not in _YES_NO:
        raise _bad("unsubscribe", text, "must be yes or no")
    return _YES_NO[text.lower()]


def _ret(text: str, _: _Where) -> str:
    if text.upper() not in ("FULL", "HDRS"):
        raise _bad("ret", text, "must be FULL or HDRS")
    return text.upper()


def _envid(text: str, _: _Where) -> str:
    envid = xtext.encode(text.encode())
    if not _PRINTABLE.fullmatch(text) or len(envid) > MAX_ENVID:
        raise _bad("envid", text, f"must be printable ASCII, at most {MAX_ENVID} characters in xtext")
    return envid


def _webhook(text: str, where: _Where) -> str:
    if not where.webhooks:
        raise _bad("webhook", text, "is no webhook here; none is configured, remove the field")
    if text not in where.webhooks:
        raise _bad("webhook", text, f"is no webhook here; there are {', '.join(where.webhooks)}")
    return text


#: Name to the field of Options it sets, and what reads it.
_READERS: dict[str, tuple[str, Callable[[str, _Where], Any]]] = {
    "pool": ("pool", _pool),
    "priority": ("priority", _priority),
    "delay": ("later", _delay),
    "schedule": ("later", _schedule),
    "notify": ("notify", _notify),
    "ret": ("ret", _ret),
    "envid": ("envid", _envid),
    "expire": ("expire", _expire),
    "unsubscribe": ("unsubscribe", _unsubscribe),
    "webhook": ("webhook", _webhook),
}


def _bad(name: str, text: str, why: str) -> OptionError:
    return OptionError(name, f"{printable(text[:64])!r} {why}")
