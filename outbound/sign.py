"""DKIM signatures (RFC 6376, RFC 8463) over normalised messages; see ``outbound.normalise``."""

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from common.addresses import AddressError, normal_domain
from common.keys import SigningKey
from outbound.canonical import CRLF, relaxed_body, relaxed_header

# What readers see or software acts on, and a message has once. Each is named once more than it occurs, so
# that none can be added or put above ours without breaking the signature (RFC 6376 5.4.2, 8.15). The MIME
# fields are among them: another Content-Type shows another text.
_SEALED = (
    b"from", b"to", b"cc", b"subject", b"date", b"reply-to", b"message-id",
    b"mime-version", b"content-type", b"content-transfer-encoding",
)  # fmt: skip
# Named as often as they occur: a list or a forwarder may rightly add its own (RFC 6376 5.4.1). RFC 8058 4
# wants the two List-Unsubscribe fields signed, feedback loops Feedback-ID.
_SIGNED = (
    b"sender", b"in-reply-to", b"references", b"resent-date", b"resent-from", b"resent-to", b"resent-cc",
    b"list-id", b"list-help", b"list-unsubscribe", b"list-unsubscribe-post", b"list-subscribe", b"list-post",
    b"list-owner", b"list-archive", b"feedback-id", b"auto-submitted",
)  # fmt: skip
_EXTRA = dict.fromkeys(_SEALED, 1) | dict.fromkeys(_SIGNED, 0)
_LINE = 77  # characters; RFC 5322 2.1.1 wants no more than 78
_BASE64_LINE = 72

_VALUE = rb"[ \t]*:([^\r]*(?:\r\n[ \t][^\r]*)*)\r\n"
_FIELD = re.compile(rb"^([!-9;-~]+)" + _VALUE, re.MULTILINE)
_FROM = re.compile(rb"^from" + _VALUE, re.MULTILINE | re.IGNORECASE)
_QUOTED_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|\((?:\\.|[^()\\])*\)', re.DOTALL)
_COMMENT_DEPTH = 8
#: Bytes of From that are looked at: the pattern above takes quadratic time over hostile ones.
_FROM_LIMIT = 1000
_MAILBOX = re.compile(r"[^,;<>]*(?:<([^<>]*)>?)?")


def sign(message: bytes, keys: Iterable[SigningKey], now: int) -> bytes:
    """The DKIM-Signature fields to put before the message, one for each key in their order.

    ``now`` is in seconds since 1970. Signatures that the message has stay and are not signed.
    """
    end = _header_end(message)
    names, header_hash = _select(message[:end])
    body_hash = _base64(hashlib.sha256(relaxed_body(message[end + 2 :])).digest())
    return b"".join(_signature(key, names, body_hash, now, header_hash.copy()) for key in keys)


def from_domain(message: bytes) -> str:
    """The domain of the first address in From as lower-case A-labels; ``""`` when there is none.

    What stands in angle brackets is the address, also behind a display name with an unquoted ``@``.
    """
    field = _FROM.search(message, 0, _header_end(message))
    return _first_domain(field[1][:_FROM_LIMIT]) if field else ""


@lru_cache(maxsize=1000)
def _first_domain(value: bytes) -> str:
    text = value.decode(errors="replace")
    for _ in range(_COMMENT_DEPTH):  # the innermost comments go first
        text = _QUOTED_OR_COMMENT.sub(" ", text)
    for mailbox in _MAILBOX.finditer(text):
        _, at, domain = (mailbox[1] or mailbox[0]).rpartition("@")
        if at:
            try:
                return normal_domain(domain.strip())
            except AddressError:
                return ""
    return ""


def _header_end(message: bytes) -> int:
    """Where the empty line starts."""
    if message.startswith(CRLF):
        return 0
    end = message.find(b"\r\n\r\n")
    return end + 2 if end >= 0 else len(message)


def _select(header: bytes) -> "tuple[tuple[bytes, ...], hashlib._Hash]":
    """The names for ``h=``, and the hash of the fields they stand for."""
    fields = defaultdict(list)
    for name, value in _FIELD.findall(header):
        fields[name.lower()].append(value)
    names: list[bytes] = []
    header_hash = hashlib.sha256()
    for name, extra in _EXTRA.items():
        values = fields.get(name, [])
        names += [name] * (len(values) + extra)
        for value in reversed(values):  # RFC 6376 5.4.2: from the bottom up
            header_hash.update(relaxed_header(name, value))
    return tuple(names), header_hash


def _signature(key: SigningKey, names: tuple[bytes, ...], body_hash: str, now: int, hash_: "hashlib._Hash") -> bytes:
    stem = _stem(key.algorithm, key.domain, key.selector, names)
    field = (_fold(stem, f" t={now};", f" bh={body_hash};") + "\r\n b=").encode()
    name, _, value = field.partition(b":")
    hash_.update(relaxed_header(name, value).removesuffix(CRLF))  # RFC 6376 3.7: b= empty, no CRLF
    text = _base64(key.sign(hash_.digest()))
    lines = (text[i : i + _BASE64_LINE] for i in range(0, len(text), _BASE64_LINE))
    return field + "\r\n ".join(lines).encode() + CRLF


@lru_cache(maxsize=1000)
def _stem(algorithm: str, domain: str, selector: str, names: tuple[bytes, ...]) -> str:
    """What the signatures of many messages have in common."""
    pieces = [f" a={algorithm};", " c=relaxed/relaxed;", f" d={domain};", f" s={selector};"]
    return _fold("DKIM-Signature: v=1;", *pieces, *re.findall(r"[^:]+:?", f" h={b':'.join(names).decode()};"))


def _fold(folded: str, *pieces: str) -> str:
    """More pieces behind lines that are there; a line starts before a piece that would make one too long."""
    lines = folded.split("\r\n")
    for piece in pieces:
        if len(lines[-1]) + len(piece) > _LINE:
            lines.append(" " + piece.lstrip())
        else:
            lines[-1] += piece
    return "\r\n".join(lines)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
