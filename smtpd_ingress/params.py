"""Arguments of MAIL and RCPT: a path, then ESMTP parameters (RFC 5321 4.1.1.2, 4.1.1.3)."""

import re
from typing import NamedTuple

from common.addresses import Address, AddressError, NonASCIIError, parse_path
from common.codes import BAD_ARGUMENT, NON_ASCII_LOCAL_PART, UNKNOWN_PARAMETER, Reply
from smtpd_ingress.rejection import RefusedError

# Blanks before the path are no grammar, but common. A quoted local part may hold blanks and ">".
_ARGUMENT = re.compile(r'(?P<keyword>[A-Z]+): *(?P<path><(?:"(?:[^"\\]|\\.)*"|[^">])*>)(?: +(?P<rest>.*))?', re.I)
# RFC 5321 4.1.2, esmtp-param.
_PARAMETER = re.compile(r"([A-Z0-9][A-Z0-9-]*)(?:=([!-<>-~]+))?", re.I)
_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 section 3


class MailParameters(NamedTuple):
    """What a client may say with MAIL."""

    size: int = 0
    """Bytes; 0: not said."""
    eightbit: bool = False


def split_argument(keyword: str, text: str) -> tuple[str, dict[str, str | None]]:
    """The path with its brackets and the parameters by upper-case name. Raises RefusedError."""
    match = _ARGUMENT.fullmatch(text)
    if not match or match["keyword"].upper() != keyword:
        raise RefusedError(BAD_ARGUMENT.but(f"Syntax: {keyword}:<address>"))
    parameters: dict[str, str | None] = {}
    for word in filter(None, (match["rest"] or "").split(" ")):
        parameter = _PARAMETER.fullmatch(word)
        if not parameter or (name := parameter[1].upper()) in parameters:
            raise RefusedError(BAD_ARGUMENT.but("Parameter malformed or given twice"))
        parameters[name] = parameter[2]
    return match["path"], parameters


def mail_parameters(parameters: dict[str, str | None]) -> MailParameters:
    """The parameters of MAIL understood. Raises RefusedError."""
    body = (parameters.pop("BODY", "7BIT") or "").upper()  # RFC 6152
    size = parameters.pop("SIZE", "0") or ""
    if body not in ("7BIT", "8BITMIME") or not _SIZE.fullmatch(size):
        raise RefusedError(BAD_ARGUMENT.but("Syntax: SIZE=number, BODY=7BIT or BODY=8BITMIME"))
    no_parameters(parameters)
    return MailParameters(int(size), body == "8BITMIME")


def no_parameters(parameters: dict[str, str | None]) -> None:
    """Refuse what is not known (RFC 5321 4.1.1.11). Raises RefusedError."""
    if parameters:
        raise RefusedError(UNKNOWN_PARAMETER.but(f"{next(iter(parameters))}: parameter not recognised"))


def path_address(path: str, refusal: Reply) -> Address | None:
    """The address in a path; None for the null path. Raises RefusedError, with ``refusal`` for bad syntax."""
    try:
        return parse_path(path)
    except NonASCIIError as error:
        raise RefusedError(NON_ASCII_LOCAL_PART) from error
    except AddressError as error:
        raise RefusedError(refusal.but(f"{path}: {error}")) from error
