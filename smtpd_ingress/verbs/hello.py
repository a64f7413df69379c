"""HELO and EHLO: who the client says it is, and what it is offered (RFC 5321 4.1.1.1)."""

import re

from common.codes import BAD_ARGUMENT, Reply
from smtpd_ingress.rejection import RefusedError
from smtpd_ingress.sasl import MECHANISMS
from smtpd_ingress.session import Session

# RFC 5321 4.1.1.1 wants a domain or literal; what else hosts call themselves must be fit for Received.
_NAME = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


def helo(session: Session, text: str) -> Reply:
    """Begin, or begin anew, without extensions."""
    _begin(session, text, esmtp=False)
    return Reply(250, "", session.context.hostname)


def ehlo(session: Session, text: str) -> Reply:
    """Begin, or begin anew; the reply lists what this client may use now."""
    _begin(session, text, esmtp=True)
    return Reply(250, "", "\n".join((session.context.hostname, *offered(session))))


def offered(session: Session) -> list[str]:
    """The keyword lines of EHLO."""
    return [
        f"SIZE {session.context.listener.max_message}",
        "PIPELINING",
        "8BITMIME",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
        *([f"AUTH {' '.join(MECHANISMS)}"] if session.may_log_in else []),
        *(["STARTTLS"] if session.may_start_tls else []),
    ]


def _begin(session: Session, name: str, *, esmtp: bool) -> None:
    if not _NAME.fullmatch(name):
        raise RefusedError(BAD_ARGUMENT.but(f"Syntax: {'EHLO' if esmtp else 'HELO'} hostname"))
    session.helo, session.esmtp, session.transaction = name, esmtp, None  # RFC 5321 4.1.4
