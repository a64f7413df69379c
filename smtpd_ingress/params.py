"""Arguments of MAIL and RCPT: a path, then ESMTP parameters (RFC 5321 4.1.1.2, 4.1.1.3).

``MAIL`` and ``RCPT`` are tables: the name of a parameter, and what its value changes.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from common import xtext
from common.addresses import Address, AddressError, parse_path
from common.codes import BAD_ARGUMENT, NON_ASCII_ADDRESS, TOO_FAR_AHEAD, UNKNOWN_PARAMETER, Reply
from common.options import MAX_AHEAD, MAX_ENVID, NOTHING, Options, When, parse_notify, parse_time
from smtpd_ingress.rejection import RefusedError

# Blanks before the path are no grammar, but common. A quoted local part may hold blanks and ">".
_PATH = re.compile(r'<(?:"(?:[^"\\]|\\.)*"|[^">])*>')
_ARGUMENT = re.compile(rf"(?P<keyword>[A-Z]+): *(?P<path>{_PATH.pattern})(?: +(?P<rest>.*))?", re.I | re.A)
# RFC 5321 4.1.2, esmtp-param; RFC 6531 3.3 for what is not ASCII.
_PARAMETER = re.compile(r"([A-Z0-9][A-Z0-9-]*)(?:=([!-<>-~\u0080-\U0010ffff]+))?", re.I | re.A)
_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 section 3
_HOLD_FOR = re.compile(r"(?!0)[0-9]{1,9}")  # RFC 4865 section 5
_PRIORITY = re.compile(r"0|-?[1-9]")  # RFC 6710 section 4
_BY = re.compile(r"(?P<time>[+-]?[0-9]{1,9});(?P<mode>[NR])T?", re.I | re.A)  # RFC 2852 section 4
_ADDRESS_TYPE = re.compile(r"[A-Z0-9-]+", re.I | re.A)  # RFC 3461 section 4.2
# RFC 6533 section 3, utf-8-addr-xtext with utf-8-addr-unitext
_UTF8_ADDRESS = re.compile(r"(?:[!-*,-<>-\[\]-~\u0080-\U0010ffff]|\\x\{[0-9A-F]{2,6}\})+")
_MAX_ORCPT = 500  # RFC 3461 section 4.2

Given = Mapping[str, str | None]
"""Parameters as they were given, by upper-case name."""


class MailParameters(NamedTuple):
    """What a client may say with MAIL."""

    size: int = 0
    """Bytes; 0: not said."""
    eightbit: bool = False
    smtputf8: bool = False
    deliver_by: int = 0
    """Seconds from now, for a "delayed" report; 0: not said, or over already."""
    future_release: str = ""
    """As ``common.entry.Entry.future_release``."""
    mt_priority: int | None = None
    """RFC 6710: -9 to 9."""
    options: Options = NOTHING


NO_PARAMETERS = MailParameters()


class RcptParameters(NamedTuple):
    """What a client may say with RCPT, as ``common.entry.Entry`` keeps it."""

    notify: str = ""
    orcpt: str = ""


def split_argument(keyword: str, text: str) -> tuple[str, Given]:
    """The path with its brackets and the parameters. Raises RefusedError."""
    match = _ARGUMENT.fullmatch(text)
    if not match or match["keyword"].upper() != keyword:
        raise RefusedError(BAD_ARGUMENT.but(f"Syntax: {keyword}:<address>"))
    return match["path"], split_parameters((match["rest"] or "").split(" "))


def path_in(text: str) -> str:
    """What stands between the brackets of an argument's path; ``""`` where there is none."""
    match = _PATH.match(text, max(text.find("<"), 0))  # search would try again at each "<": quadratic time
    return match[0][1:-1] if match else ""


def split_parameters(words: Iterable[str]) -> Given:
    """The parameters among words. Raises RefusedError."""
    parameters: dict[str, str | None] = {}
    for word in filter(None, words):
        parameter = _PARAMETER.fullmatch(word)
        if not parameter or (name := parameter[1].upper()) in parameters:
            raise RefusedError(BAD_ARGUMENT.but("Parameter malformed or given twice"))
        parameters[name] = parameter[2]
    return parameters


def mail_parameters(given: Given, now: float, *, future_release: bool = False) -> MailParameters:
    """The parameters of MAIL understood. Raises RefusedError.

    ``now`` is in seconds since 1970; ``future_release`` says whether RFC 4865 is offered to this client.
    """
    if not given:
        return NO_PARAMETERS
    no_parameters(name for name in given if name not in MAIL or (name.startswith("HOLD") and not future_release))
    if "HOLDFOR" in given and "HOLDUNTIL" in given:  # RFC 4865 section 5
        raise RefusedError(BAD_ARGUMENT.but("HOLDFOR and HOLDUNTIL: give one of them"))
    said: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in given.items():
        for field, what in MAIL[name](value or "", now).items():
            (said if field in MailParameters._fields else options)[field] = what
    return MailParameters(**said, options=Options(**options) if options else NOTHING)


def rcpt_parameters(given: Given, *, smtputf8: bool = False) -> RcptParameters:
    """The parameters of RCPT understood; ``smtputf8`` says whether MAIL had it. Raises RefusedError."""
    if not given:
        return RcptParameters()
    no_parameters(name for name in given if name not in RCPT)
    return RcptParameters(**{RCPT[name][0]: RCPT[name][1](value or "", smtputf8) for name, value in given.items()})


def no_parameters(names: Iterable[str]) -> None:
    """Refuse what is not known (RFC 5321 4.1.1.11). Raises RefusedError."""
    for name in names:
        raise RefusedError(UNKNOWN_PARAMETER.but(f"{name}: parameter not recognised"))


def path_address(path: str, refusal: Reply, *, smtputf8: bool = False) -> Address | None:
    """The address in a path; None for the null path. Raises RefusedError, with ``refusal`` for bad syntax."""
    if not smtputf8 and not path.isascii():  # RFC 6531 3.5, domains too
        raise RefusedError(NON_ASCII_ADDRESS)
    try:
        return parse_path(path, utf8=smtputf8)
    except AddressError as error:
        raise RefusedError(refusal.but(f"{path}: {error}")) from error


def _size(value: str, _: float) -> dict[str, Any]:
    if not _SIZE.fullmatch(value):
        raise _syntax("SIZE=number")
    return {"size": int(value)}


def _body(value: str, _: float) -> dict[str, Any]:
    """RFC 6152 section 2."""
    if value.upper() not in ("7BIT", "8BITMIME"):
        raise _syntax("BODY=7BIT or BODY=8BITMIME")
    return {"eightbit": value.upper() == "8BITMIME"}


def _smtputf8(value: str, _: float) -> dict[str, Any]:
    """RFC 6531 section 3.1."""
    if value:
        raise _syntax("SMTPUTF8")
    return {"smtputf8": True}


def _auth(value: str, _: float) -> dict[str, Any]:
    """RFC 4954 section 5: who sent it first is not used for anything."""
    if value != "<>":
        _xtext("AUTH", value)
    return {}


def _ret(value: str, _: float) -> dict[str, Any]:
    """RFC 3461 section 4.3."""
    if value.upper() not in ("FULL", "HDRS"):
        raise _syntax("RET=FULL or RET=HDRS")
    return {"ret": value.upper()}


def _envid(value: str, _: float) -> dict[str, Any]:
    """RFC 3461 section 4.4."""
    _xtext("ENVID", value)
    if len(value) > MAX_ENVID:
        raise _syntax(f"ENVID=xtext, at most {MAX_ENVID} characters")
    return {"envid": value}


def _hold_for(value: str, _: float) -> dict[str, Any]:
    """RFC 4865 section 5."""
    if not _HOLD_FOR.fullmatch(value):
        raise _syntax("HOLDFOR=seconds")
    if int(value) > MAX_AHEAD:
        raise RefusedError(TOO_FAR_AHEAD.but(f"HOLDFOR: at most {MAX_AHEAD} seconds"))
    return {"later": When(delay=int(value)), "future_release": f"for;{value}"}


def _hold_until(value: str, now: float) -> dict[str, Any]:
    """RFC 4865 section 5; its erratum 2040: a date-time of RFC 3339."""
    try:
        at = parse_time(value)
    except ValueError:
        raise _syntax("HOLDUNTIL=2027-01-31T08:00:00Z") from None
    if not now < at <= now + MAX_AHEAD:
        raise RefusedError(TOO_FAR_AHEAD.but(f"HOLDUNTIL: a time to come, at most {MAX_AHEAD} seconds ahead"))
    return {"later": When(at=at), "future_release": f"until;{value}"}


def _mt_priority(value: str, _: float) -> dict[str, Any]:
    if not _PRIORITY.fullmatch(value):
        raise _syntax("MT-PRIORITY=number from -9 to 9")
    return {"mt_priority": int(value)}


def _by(value: str, _: float) -> dict[str, Any]:
    match = _BY.fullmatch(value)
    if not match or (match["mode"].upper() == "R" and int(match["time"]) <= 0):
        raise _syntax("BY=seconds;N")
    if match["mode"].upper() == "R":  # docs/decisions/006-deliver-by.md
        raise RefusedError(
            UNKNOWN_PARAMETER.but("BY: only mode N is served; to have mail given up, set X-Postjet-Expire")
        )
    return {"deliver_by": max(0, int(match["time"]))}  # of what is late already the hop before has told


def _notify(value: str, _: bool) -> str:
    """RFC 3461 section 4.1."""
    try:
        return parse_notify(value)
    except ValueError:
        raise _syntax("NOTIFY=NEVER, or some of SUCCESS,FAILURE,DELAY") from None


def _orcpt(value: str, smtputf8: bool) -> str:
    """RFC 3461 section 4.2; for the type utf-8 RFC 6533 section 3, in the form that is ASCII."""
    kind, _, address = value.partition(";")
    if not _ADDRESS_TYPE.fullmatch(kind) or not address or not (smtputf8 or value.isascii()):
        raise _syntax("ORCPT=type;address")
    if kind.upper() != "UTF-8":
        _xtext("ORCPT", address)
    elif not _UTF8_ADDRESS.fullmatch(address):
        raise _syntax("ORCPT=utf-8;address in utf-8-addr-xtext")
    value = re.sub(r"[^!-~]", lambda match: f"\\x{{{ord(match[0]):02X}}}", value)
    if len(value) > _MAX_ORCPT:
        raise _syntax(f"ORCPT=type;address, at most {_MAX_ORCPT} characters")
    return value


def _xtext(name: str, value: str) -> None:
    """Raises RefusedError for what is no xtext of printable ASCII."""
    try:
        text = xtext.decode(value).decode("ascii")
    except ValueError:
        text = ""
    if not text.isprintable() or not text:
        raise _syntax(f"{name}=xtext")


def _syntax(text: str) -> RefusedError:
    return RefusedError(BAD_ARGUMENT.but(f"Syntax: {text}"))


#: Name to what gives its changes, fields of MailParameters and Options, from its value (``""``: none) and the time.
MAIL: Mapping[str, Callable[[str, float], dict[str, Any]]] = {
    "SIZE": _size,
    "BODY": _body,
    "SMTPUTF8": _smtputf8,
    "AUTH": _auth,
    "RET": _ret,
    "ENVID": _envid,
    "HOLDFOR": _hold_for,
    "HOLDUNTIL": _hold_until,
    "MT-PRIORITY": _mt_priority,
    "BY": _by,
}
#: Name to the field of RcptParameters and what makes it of a value; told whether MAIL had SMTPUTF8.
RCPT: Mapping[str, tuple[str, Callable[[str, bool], str]]] = {
    "NOTIFY": ("notify", _notify),
    "ORCPT": ("orcpt", _orcpt),
}
