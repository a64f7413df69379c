"""xtext (RFC 3461 4): octets as SMTP parameters carry them; and what it is for addresses that are not ASCII."""

import re

#: All but ``+`` and ``=`` stand for themselves.
_QUOTED = re.compile(rb"[^!-*,-<>-~]")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_HEXCHAR = re.compile(rb"\+(..)")
_NO_QCHAR = re.compile(r"[^!-*,-<>-\[\]-~]")


class XtextError(ValueError):
    """Not xtext: another character than it has, or a ``+`` without two upper-case hexadecimal digits."""


def encode(octets: bytes) -> str:
    """Octets as xtext; as few as can be are written in hexadecimal."""
    return _QUOTED.sub(lambda match: b"+%02X" % match[0][0], octets).decode("ascii")


def decode(text: str) -> bytes:
    """The octets behind xtext. Raises XtextError."""
    if not _XTEXT.fullmatch(text):
        raise XtextError(f"not xtext: {text!r}")
    return _HEXCHAR.sub(lambda match: bytes.fromhex(match[1].decode()), text.encode())


def shown(text: str) -> str:
    """What stands behind xtext, for reports and people. What is none stays as it is."""
    try:
        return decode(text).decode("ascii", "replace")
    except XtextError:
        return text


def utf8_address(text: str) -> str:
    """An address of type ``utf-8`` in ASCII: utf-8-addr-xtext (RFC 6533 3)."""
    return _NO_QCHAR.sub(lambda match: f"\\x{{{ord(match[0]):02X}}}", text)
