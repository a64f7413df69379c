"""HELO and EHLO: who the client says it is, and what it is offered (RFC 5321 4.1.1.1)."""

import re
import time
from datetime import UTC, datetime
from functools import lru_cache

from common.codes import BAD_ARGUMENT, Reply
from common.options import MAX_AHEAD
from smtpd_ingress.rejection import RefusedError
from smtpd_ingress.sasl import MECHANISMS
from smtpd_ingress.session import Session
from smtpd_ingress.verbs.xclient import ATTRIBUTES

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
    listener = session.context.listener
    # who logs in later has no other reply to learn it from
    holds = session.may_set_options or (session.may_log_in and listener.options)
    return [
        f"SIZE {listener.max_message}",
        "PIPELINING",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
        "DSN",
        "DELIVERBY",  # RFC 2852 section 2
        "MT-PRIORITY",  # RFC 6710 section 3; of no policy that has a name
        *([f"FUTURERELEASE {MAX_AHEAD} {_latest(int(time.time()) // 86400)}"] if holds else []),
        f"LIMITS RCPTMAX={listener.max_recipients}",  # RFC 9422 section 4
        *([f"AUTH {' '.join(MECHANISMS)}"] if session.may_log_in else []),
        *(["STARTTLS"] if session.may_start_tls else []),
        *([f"XCLIENT {' '.join(ATTRIBUTES)}"] if session.may_xclient else []),
    ]


@lru_cache(maxsize=1)
def _latest(day: int) -> str:
    """RFC 4865 section 4: a time of RFC 3339 up to which mail may be held, as days since 1970 have it."""
    return datetime.fromtimestamp(day * 86400 + MAX_AHEAD, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _begin(session: Session, name: str, *, esmtp: bool) -> None:
    if not _NAME.fullmatch(name):
        raise RefusedError(BAD_ARGUMENT.but(f"Syntax: {'EHLO' if esmtp else 'HELO'} hostname"))
    session.helo, session.esmtp, session.transaction = name, esmtp, None  # RFC 5321 4.1.4
    session.may_xclient &= not session.spoken_for
