"""Options that a client sets in the header, ``X-Postjet-…``: fields in, an Options value or a refusal out."""

import dataclasses
import re
from collections.abc import Collection, Iterable
from datetime import datetime

from common.codes import BAD_CONTENT, printable
from common.entry import DEFAULT_POOL
from common.queue.reports import ABOUT
from smtpd_ingress.headers import Field
from smtpd_ingress.rejection import RefusedError

PREFIX = "x-postjet-"
PRIORITY, DELAY, SCHEDULE, POOL = (f"{PREFIX}{name}" for name in ("priority", "delay", "schedule", "pool"))
TAG, META = f"{PREFIX}tag", f"{PREFIX}meta-"
DEFAULT_PRIORITY = 4
#: Seconds; the same day of the next year is within it. Schedules of the broker overflow in 2262.
MAX_AHEAD = 366 * 86400
#: A time less than so many seconds ahead is now: the broker's schedules are about 0.2 s late.
SOON = 1.0
#: Tags and meta stand in every entry and every event of a mail: bytes of a tag, of all keys and values of meta.
MAX_TAGS, MAX_TAG, MAX_META = 10, 128, 2000
_NUMBER = re.compile(r"[0-9]{1,12}")
_UNIX_TIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# RFC 3339 5.6; a blank for the T is what people write.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a client asks for."""

    pool: str = DEFAULT_POOL
    priority: int = DEFAULT_PRIORITY
    delay: float = 0
    """Seconds from acceptance."""
    schedule: float = 0
    """Seconds since 1970; 0: none."""
    tags: tuple[str, ...] = ()
    """The first is the campaign."""
    meta: dict[str, str] = dataclasses.field(default_factory=dict)

    def due(self, accepted: float) -> float:
        """When to send what is accepted now, seconds since 1970; 0: at once."""
        if self.delay:
            return accepted + self.delay
        return self.schedule if self.schedule >= accepted + SOON else 0.0


def read_options(fields: Iterable[Field], now: float, pools: Collection[str]) -> Options:
    """The options that these fields set; fields with other names than ``X-Postjet-…`` are not allowed.

    ``pools`` are the names that ``X-Postjet-Pool`` may have. A tag that is given twice counts once.
    ``X-Postjet-Schedule`` is ignored where ``X-Postjet-Delay`` is given.
    Raises RefusedError.
    """
    given: dict[str, Field] = {}
    tags: dict[str, None] = {}
    for field in fields:
        if field.name == TAG:
            tags[_tag(field)] = None
        elif field.name not in (PRIORITY, DELAY, SCHEDULE, POOL) and not field.name.startswith(META):
            raise _refused(field, "no option of this version; remove the field")
        elif field.name in given:
            raise _refused(field, "given twice; keep one of them")
        else:
            given[field.name] = field
        if len(tags) > MAX_TAGS:
            raise _refused(field, f"given too often; at most {MAX_TAGS} tags")
    delay = given.get(DELAY)
    schedule = None if delay else given.get(SCHEDULE)
    return Options(
        pool=_pool(given[POOL], pools) if POOL in given else DEFAULT_POOL,
        priority=_priority(given[PRIORITY]) if PRIORITY in given else DEFAULT_PRIORITY,
        delay=_delay(delay) if delay else 0,
        schedule=_schedule(schedule, now) if schedule else 0,
        tags=tuple(tags),
        meta=_meta([field for name, field in given.items() if name.startswith(META)]),
    )


def _tag(field: Field) -> str:
    tag = _text(field)
    if "," in tag:
        raise _bad(field, "has a comma; one field for each tag")
    if len(tag) > MAX_TAG:
        raise _bad(field, f"is too long; at most {MAX_TAG} characters")
    return tag


def _meta(fields: Iterable[Field]) -> dict[str, str]:
    """Keys are the rest of the names, in lower case: names of fields know no case."""
    meta: dict[str, str] = {}
    length = 0
    for field in fields:
        key = field.name.removeprefix(META)
        if not _KEY.fullmatch(key) or key == ABOUT:
            raise _refused(field, "no such key; use others, of letters, digits, - and _, at most 64")
        meta[key] = _text(field)
        length += len(key) + len(meta[key])
        if length > MAX_META:
            raise _refused(field, f"too much; at most {MAX_META} characters in all X-Postjet-Meta fields")
    return meta


def _text(field: Field) -> str:
    """Words of printable ASCII with one blank between them."""
    text = " ".join(field.value.split())
    if not text or printable(text) != text:
        raise _bad(field, "must be text of printable ASCII")
    return text


def _pool(field: Field, pools: Collection[str]) -> str:
    if field.value not in pools:
        raise _bad(field, f"is no pool here; there are {', '.join(pools)}")
    return field.value


def _priority(field: Field) -> int:
    if not re.fullmatch("[0-9]", field.value):
        raise _bad(field, "must be 0 to 9; 9 is the most urgent")
    return int(field.value)


def _delay(field: Field) -> int:
    if not _NUMBER.fullmatch(field.value):
        raise _bad(field, "must be whole seconds, such as 3600")
    if int(field.value) > MAX_AHEAD:
        raise _bad(field, f"is more than a year; at most {MAX_AHEAD} seconds")
    return int(field.value)


def _schedule(field: Field, now: float) -> float:
    text = field.value
    try:
        # fromisoformat wants capitals
        at = float(text) if _UNIX_TIME.fullmatch(text) else _parse(text.upper())
    except ValueError:
        raise _bad(field, "must be a time such as 2027-01-31T08:00:00+01:00, or in Unix seconds") from None
    if at > now + MAX_AHEAD:
        raise _bad(field, "is more than a year ahead; choose an earlier time")
    return at


def _parse(text: str) -> float:
    """A time of RFC 3339 in seconds since 1970. Raises ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text).timestamp()


def _bad(field: Field, what: str) -> RefusedError:
    return _refused(field, f"{printable(field.value[:64])!r} {what}")


def _refused(field: Field, why: str) -> RefusedError:
    """What the client is told: the name as it wrote it, what is wrong and the remedy."""
    name = field.raw.partition(b":")[0].decode().strip()[:64]
    return RefusedError(BAD_CONTENT.but(f"{name}: {why}"))
