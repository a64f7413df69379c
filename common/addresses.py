"""Mail addresses: the grammar of RFC 5321 4.1.2, domains in one normal form."""

import ipaddress
import re
from dataclasses import dataclass

import idna

# RFC 5321 4.5.3.1.1 to 4.5.3.1.3, in octets.
MAX_LOCAL_PART, MAX_DOMAIN, MAX_PATH = 64, 255, 256
_MAX_LABEL = 63  # RFC 1035 2.3.4

# RFC 6531 3.3: what else may stand in atoms and quoted strings. Left out are control characters, and those that end
# lines or turn the direction of what is around them.
_UTF8 = "\u00a0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\U0010ffff"


def _local_part(more: str) -> re.Pattern[str]:
    atom = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{more}-]+"
    return re.compile(rf'{atom}(?:\.{atom})*|"(?:[ !#-\[\]-~{more}]|\\[ -~])*"')


_LOCAL_PART, _UTF8_LOCAL_PART = _local_part(""), _local_part(_UTF8)
_SUB_DOMAIN = rf"[A-Za-z0-9](?:[A-Za-z0-9-]{{0,{_MAX_LABEL - 2}}}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_SUB_DOMAIN}(?:\.{_SUB_DOMAIN})*")
_SOURCE_ROUTE = re.compile(r"@[A-Za-z0-9.-]+(?:,@[A-Za-z0-9.-]+)*:")


class AddressError(ValueError):
    """Not an address; the message says why."""


class NonASCIIError(AddressError):
    """A local part that only SMTPUTF8 (RFC 6531) could carry."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox; the local part as it was written, the domain in its normal form."""

    local: str
    domain: str
    """Lower-case A-labels, ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]``; ``""`` of a bare ``postmaster``."""

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local


def parse_path(text: str, *, utf8: bool = False) -> Address | None:
    """The mailbox in a forward or reverse path ``<…>``; None for ``<>``. Raises AddressError."""
    if not (text.startswith("<") and text.endswith(">")):
        raise AddressError("address is not in angle brackets")
    if text == "<>":
        return None
    mailbox = text[1:-1]
    if route := _SOURCE_ROUTE.match(mailbox):  # RFC 5321 appendix C: accept and ignore
        mailbox = mailbox[route.end() :]
    if mailbox.lower() == "postmaster":  # RFC 5321 4.1.1.3: the one name without a domain
        return Address(mailbox, "")
    return parse_mailbox(mailbox, utf8=utf8)


def parse_mailbox(text: str, *, utf8: bool = False) -> Address:
    """The address ``local@domain``; with ``utf8`` the local part too need not be ASCII. Raises AddressError."""
    local, at, domain = text.rpartition("@")
    if not at:
        raise AddressError("no domain")
    if not (utf8 or local.isascii()):
        raise NonASCIIError("local part is not ASCII")
    if not (_UTF8_LOCAL_PART if utf8 else _LOCAL_PART).fullmatch(local):
        raise AddressError("syntax error in local part")
    if len(local.encode()) > MAX_LOCAL_PART:
        raise AddressError(f"local part longer than {MAX_LOCAL_PART} octets")
    address = Address(local, normal_domain(domain))
    if len(str(address).encode()) + len("<>") > MAX_PATH:
        raise AddressError(f"path longer than {MAX_PATH} octets")
    return address


def normal_domain(text: str) -> str:
    """A domain (U-labels too) or an address literal in its normal form. Raises AddressError."""
    if text.startswith("["):
        return _literal(text)
    if not text.isascii():
        text = _a_labels(text)
    if len(text) > MAX_DOMAIN:
        raise AddressError(f"domain longer than {MAX_DOMAIN} octets")
    if not _DOMAIN.fullmatch(text):
        raise AddressError("syntax error in domain")
    return text.lower()


def _a_labels(text: str) -> str:
    if len(text) > MAX_DOMAIN:  # no need to convert what can only be too long
        raise AddressError(f"domain longer than {MAX_DOMAIN} octets")
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode()
    except UnicodeError as error:  # IDNAError is one
        raise AddressError("not an internationalised domain name") from error


def _literal(text: str) -> str:
    """RFC 5321 4.1.3; of the tagged literals there is only IPv6."""
    inside = text.removeprefix("[").removesuffix("]")
    try:
        if f"[{inside}]" != text or "%" in inside:  # a zone means nothing on another machine
            raise ValueError(text)
        if inside[:5].lower() == "ipv6:":
            return f"[IPv6:{ipaddress.IPv6Address(inside[5:])}]"
        return f"[{ipaddress.IPv4Address(inside)}]"
    except ValueError as error:
        raise AddressError("syntax error in address literal") from error
