"""Header fields and addresses, out of bytes that may be anything. Time is linear in what is read."""

import re
from binascii import Error as BinasciiError
from email.errors import HeaderParseError
from email.header import decode_header
from itertools import islice

from dsn.parse.result import Fields

#: Fields of one header section, characters of one value: what comes after them is left out.
MAX_FIELDS, MAX_VALUE = 1000, 10_000
#: Characters of a value in which encoded words are looked for.
_ENCODED = 1000

# RFC 5322 3.6.8, and the space before the colon of its section 4.5
_FIELD = re.compile(r"^([!-9;-~]{1,100})[ \t]*:(.*(?:\n[ \t].*)*)", re.MULTILINE)

_DOMAIN = r"(?:\[[0-9A-Fa-f:.IPv]{2,50}\]|(?:[A-Za-z0-9_-]{1,63}\.){1,30}[A-Za-z0-9-]{2,63})"
#: A mailbox in running text; ``[1]`` is the address. Letters beyond ASCII are the text's: some languages have no spaces.
ADDRESS = re.compile(
    rf"""((?:"[^"\n@<>]{{1,64}}"|[A-Za-z0-9.!#$%&'*+/=?^_~-]{{1,100}})@{_DOMAIN})(?![A-Za-z0-9_@-])"""
)
#: In angle brackets they are the address's, and a domain may have no dot.
BRACKETED = re.compile(r"""<((?:"[^"\n@<>]{1,64}"|[^\s<>()\[\]{},;:"|@\\`]{1,100})@[\w.\[\]:-]{1,255})>""")
_TYPE = re.compile(r"\s*([A-Za-z][\w-]{0,40})\s*;\s*")
#: Comments at the end, RFC 5322 3.2.2; those inside others are not looked for.
_COMMENT = re.compile(r"\s*\([^()]{0,1000}\)\s*$")
#: EmbeddedUnicodeChar, RFC 6533 3.
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_IDS = re.compile(r"<([^<>\s@]{1,500}@[^<>\s@]{1,300})>")
_BARE_ID = re.compile(r"\s*([^<>\s@,;]{1,500}@[^<>\s@,;]{1,300})\s*")


def fields(block: str) -> Fields:
    """The fields of a header section whose lines end in LF. What is no field is passed over."""
    found: dict[str, list[str]] = {}
    for match in islice(_FIELD.finditer(block), MAX_FIELDS):
        # one blank for many: patterns below take time by the square of a run of them
        found.setdefault(match[1].lower(), []).append(" ".join(match[2][:MAX_VALUE].split()))
    return {name: tuple(values) for name, values in found.items()}


def first(found: Fields, *names: str) -> str:
    """The first value of the first of these fields that is there and says something."""
    return next((value for name in names for value in found.get(name, ()) if value), "")


def as_text(data: bytes) -> str:
    """UTF-8 where it is that, else every byte as a character."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def decoded(value: str) -> str:
    """A value with its encoded words (RFC 2047) put into letters, as far as they can be."""
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value[:_ENCODED])
    except (HeaderParseError, BinasciiError, ValueError):
        return value
    return "".join(piece if isinstance(piece, str) else in_charset(piece, charset) for piece, charset in pieces)


#: Charsets of Python's that take time by the square, or are none.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})


def in_charset(data: bytes, charset: str | None) -> str:
    """Bytes as a charset's letters; of one that is not known or not named, whatever they seem to be."""
    name = (charset or "").strip().lower().replace("-", "_")[:40]
    if not name or name in _NO_CHARSETS or name in ("us_ascii", "ascii", "unknown_8bit"):
        return as_text(data)
    try:
        return data.decode(name, "replace")
    except (LookupError, ValueError):  # no such charset; a name with NUL in it
        return as_text(data)


def addresses(text: str) -> list[str]:
    """Mailboxes in a text, in order, each once."""
    found = [match[1].strip("'.") for match in ADDRESS.finditer(text[:MAX_VALUE])]
    found += [match[1] for match in BRACKETED.finditer(text[:MAX_VALUE])]
    return list(dict.fromkeys(found))


def first_address(text: str) -> str:
    """The mailbox in a field such as From: what stands in angle brackets before what may be a name."""
    if match := BRACKETED.search(text[:MAX_VALUE]):
        return match[1]
    return next(iter(addresses(text)), "")


def typed(value: str) -> tuple[str, str]:
    """Type and rest of a value ``type; rest`` (RFC 3464 2.1.2), comments left out; type ``""`` where there is none."""
    if match := _TYPE.match(value):
        return match[1].lower(), _COMMENT.sub("", value[match.end() :]).strip()
    return "", _COMMENT.sub("", value).strip()


def typed_address(value: str) -> str:
    """The address of ``type; address``, without angle brackets. Of type utf-8 it may be written as ``\\x{E9}``."""
    type_, address = typed(value[:MAX_VALUE])
    address = address.removeprefix("<").removesuffix(">").strip()
    if type_ == "utf-8":
        return _EMBEDDED.sub(_character, address)
    return address


def _character(match: re.Match[str]) -> str:
    number = int(match[1], 16)
    return match[0] if number > 0x10FFFF or 0xD800 <= number < 0xE000 or number < 0x20 else chr(number)


def message_ids(value: str) -> list[str]:
    """Message-IDs (RFC 5322 3.6.4) in angle brackets; of one that has none of these, as if it had."""
    value = value[:MAX_VALUE]
    if found := _IDS.findall(value):
        return [f"<{identifier}>" for identifier in found]
    bare = _BARE_ID.fullmatch(value)
    return [f"<{bare[1]}>"] if bare else []
