"""Return paths that name a delivery (variable envelope return paths, VERP). No I/O.

The local part is a token: which delivery, the day on which it left, what its sender asked to be told (RFC 3461), and a
signature over these. Who was not sent one cannot make one, nor change the one he has into another's. Digits and
letters of one case, for some systems fold that of local parts; 52 octets of the 64 there may be (RFC 5321 4.5.3.1.1).
"""

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

from common.entry import Entry
from common.ids import base32

#: The field of the header that carries the same token, for what comes back and quotes no more than a header.
HEADER = "X-Postjet-Id"
#: Characters: a submission's id, a delivery's number, days since 1970, what was asked for; bytes of the signature.
_SUBMISSION, _NUMBER, _DAY, _ASKED = 20, 3, 4, 1
_PARTS = tuple(accumulate((_SUBMISSION, _NUMBER, _DAY, _ASKED)))
_PLAIN = _PARTS[-1]
_SIGNATURE = 15
_TOKEN = re.compile(rf"[0-9a-v]{{{_PLAIN + _SIGNATURE * 8 // 5}}}")
#: Said before what is signed: the key signs nothing else that looks like it.
_PURPOSE = b"postjet return path "
_EVENTS = {"SUCCESS": 1, "FAILURE": 2, "DELAY": 4, "NEVER": 8}
_HEADERS_ONLY = 16
_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says."""

    submission: str
    number: int
    day: int
    """When it left, in whole days since 1970."""
    notify: str = ""
    """As ``Entry.notify``."""
    headers_only: bool = False
    """RET=HDRS."""

    @property
    def delivery(self) -> str:
        """The delivery's id."""
        return f"{self.submission}-{self.number}"

    def age(self, now: float) -> float:
        """Seconds since the beginning of the day on which it left."""
        return now - self.day * _A_DAY


class Tokens:
    """Makes and reads tokens: signed with the first of the keys, read with all of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def make(self, entry: Entry, now: float) -> str:
        """The token of a delivery that leaves ``now`` (seconds since 1970)."""
        plain = f"{entry.submission}{_number(entry.number)}{_day(int(now) // _A_DAY)}{_asked(entry.notify, entry.ret)}"
        return plain + _signature(self._keys[0], plain)

    def read(self, text: str) -> Token | None:
        """What a token says, in either case; None for what we did not sign. How old it may be is the caller's to say.

        Which of the keys it was, and how far a forged one was right, cannot be told by the time that it takes.
        """
        text = text.lower()
        if not _TOKEN.fullmatch(text):
            return None
        plain, signature = text[:_PLAIN], text[_PLAIN:]
        if not sum(hmac.compare_digest(_signature(key, plain), signature) for key in self._keys):
            return None
        number, day, asked = (int(plain[start:end], 32) for start, end in pairwise(_PARTS))
        notify = ",".join(name for name, bit in _EVENTS.items() if asked & bit)
        return Token(plain[:_SUBMISSION], number, day, notify, bool(asked & _HEADERS_ONLY))


def _signature(key: bytes, plain: str) -> str:
    digest = hmac.digest(key, _PURPOSE + plain.encode(), "sha256")
    return base64.b32hexencode(digest[:_SIGNATURE]).decode().lower()


@lru_cache(maxsize=1024)
def _number(number: int) -> str:
    return base32(number, _NUMBER)


@lru_cache(maxsize=4)
def _day(day: int) -> str:
    return base32(day, _DAY)


@lru_cache(maxsize=64)
def _asked(notify: str, ret: str) -> str:
    bits = sum(_EVENTS[name] for name in notify.split(",") if name) | (_HEADERS_ONLY if ret == "HDRS" else 0)
    return base32(bits, _ASKED)
