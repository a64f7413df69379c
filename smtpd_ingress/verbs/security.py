"""STARTTLS (RFC 3207)."""

from common.codes import BAD_SEQUENCE, NOT_IMPLEMENTED
from smtpd_ingress.actions import StartTLS
from smtpd_ingress.rejection import RefusedError
from smtpd_ingress.session import Session
from smtpd_ingress.verbs.other import no_argument


def starttls(session: Session, text: str) -> StartTLS:
    """TLS begins after the reply."""
    no_argument("STARTTLS", text)
    if session.tls:
        raise RefusedError(BAD_SEQUENCE.but("TLS is active already"))
    if not session.may_start_tls:
        raise RefusedError(NOT_IMPLEMENTED)
    return StartTLS()
