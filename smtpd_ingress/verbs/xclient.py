"""XCLIENT: a proxy says for whom it speaks (Postfix's XCLIENT_README)."""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from common import xtext
from common.codes import BAD_ARGUMENT, BAD_SEQUENCE, NOT_PERMITTED, Reply
from smtpd_ingress.actions import NewClient
from smtpd_ingress.context import client_address
from smtpd_ingress.rejection import RefusedError
from smtpd_ingress.session import Session

#: Stands for an address that the proxy does not know: in no network that anybody would trust.
UNKNOWN_ADDRESS = "0.0.0.0"
_UNAVAILABLE = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")
# as in HELO: fit for Received
_NAME = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


def _address(text: str) -> str:
    if not text:
        return UNKNOWN_ADDRESS
    literal = IPv6Address(text[5:]) if text[:5].upper() == "IPV6:" else IPv4Address(text)
    return client_address((str(literal), 0))


def _port(text: str) -> str:
    if text and not (text.isdigit() and int(text) < 65536):
        raise ValueError(text)
    return text


def _name(text: str) -> str:
    if text and not _NAME.fullmatch(text):
        raise ValueError(text)
    return text


def _protocol(text: str) -> str:
    if text.upper() not in ("", "SMTP", "ESMTP"):
        raise ValueError(text)
    return text.upper()


#: What may be said, and what understands it; "" is what the proxy does not know.
ATTRIBUTES: dict[str, Callable[[str], str]] = {
    "NAME": _name,
    "ADDR": _address,
    "PORT": _port,
    "PROTO": _protocol,
    "HELO": _name,
    "LOGIN": str,
    "DESTADDR": _address,
    "DESTPORT": _port,
}


def xclient(session: Session, text: str) -> Reply | NewClient:
    """The session begins anew, as if the client had connected itself.

    What is not said stays as it is, but for a login, which is none of another client's. Once that client goes on, with
    HELO, EHLO or MAIL, there is no other: a proxy may be a mere pipe by then, and its client must not speak for others.
    """
    if not session.may_xclient:
        raise RefusedError(NOT_PERMITTED)
    if session.transaction:
        raise RefusedError(BAD_SEQUENCE.but("Not within a mail transaction"))
    said = _parsed(text)
    session.spoken_for |= not said.keys().isdisjoint(("ADDR", "LOGIN"))
    if "ADDR" in said:
        session.client, session.login = said["ADDR"], ""
        session.in_networks = session.context.may_relay(session.client)
    session.login = said.get("LOGIN", session.login)
    session.helo = said.get("HELO", "")
    session.esmtp = said.get("PROTO") == "ESMTP"
    return NewClient(session.client) if "ADDR" in said else session.greeting


def _parsed(text: str) -> dict[str, str]:
    """Upper-case name to value. Raises RefusedError."""
    said: dict[str, str] = {}
    for word in text.split(" "):
        name, _, value = word.partition("=")
        name = name.upper()
        if name not in ATTRIBUTES or name in said or not value:
            raise RefusedError(BAD_ARGUMENT.but(f"Syntax: XCLIENT attribute=value, with {', '.join(ATTRIBUTES)}"))
        try:
            said[name] = ATTRIBUTES[name]("" if value.upper() in _UNAVAILABLE else _plain(value))
        except ValueError:
            raise RefusedError(BAD_ARGUMENT.but(f"Bad value of {name}")) from None
    return said


def _plain(text: str) -> str:
    """Raises ValueError where it is no xtext of printable text."""
    plain = xtext.decode(text).decode()
    if not plain.isprintable():
        raise ValueError(text)
    return plain
