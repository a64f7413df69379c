"""RSET, NOOP, VRFY, QUIT and the verbs that are known but not served (RFC 5321 4.1.1)."""

from common.codes import BAD_ARGUMENT, BYE, CANNOT_VERIFY, NOT_HTTP, NOT_IMPLEMENTED, OK, Reply
from smtpd_ingress.rejection import RefusedError
from smtpd_ingress.session import Session


def rset(session: Session, text: str) -> Reply:
    """Give up the transaction."""
    no_argument("RSET", text)
    session.transaction = None
    return OK


def noop(session: Session, text: str) -> Reply:
    """Nothing."""
    return OK


def vrfy(session: Session, text: str) -> Reply:
    """RFC 5321 3.5.3: neither yes nor no."""
    if not text:
        raise RefusedError(BAD_ARGUMENT.but("Syntax: VRFY address"))
    return CANNOT_VERIFY


def quit_(session: Session, text: str) -> Reply:
    """The last command."""
    no_argument("QUIT", text)
    return BYE


def not_implemented(session: Session, text: str) -> Reply:
    """A verb of the RFCs that this server lacks."""
    raise RefusedError(NOT_IMPLEMENTED)


def http(session: Session, text: str) -> Reply:
    """A browser or proxy was made to talk to us: what follows is a request's body."""
    raise RefusedError(NOT_HTTP)


def no_argument(verb: str, text: str) -> None:
    """Raises RefusedError where there is one."""
    if text:
        raise RefusedError(BAD_ARGUMENT.but(f"Syntax: {verb}"))
