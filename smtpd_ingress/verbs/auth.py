"""AUTH (RFC 4954): who may, and when; the exchange itself is in ``smtpd_ingress.sasl``."""

from common.codes import BAD_SEQUENCE, ENCRYPTION_NEEDED, NOT_IMPLEMENTED, Reply
from smtpd_ingress.actions import Login
from smtpd_ingress.rejection import RefusedError
from smtpd_ingress.sasl import Challenge, Exchange, Step
from smtpd_ingress.session import Session


def auth(session: Session, text: str) -> Reply | Login:
    """Begin an exchange; it goes on with ``answer`` while ``session.exchange`` is there."""
    logins = session.context.logins
    if not logins:
        raise RefusedError(NOT_IMPLEMENTED)
    if not session.esmtp:
        raise RefusedError(BAD_SEQUENCE.but("Send EHLO first"))
    if session.login or session.transaction:  # RFC 4954 section 4
        raise RefusedError(BAD_SEQUENCE.but("Logged in already" if session.login else "Not in a mail transaction"))
    if not session.may_log_in:
        raise RefusedError(ENCRYPTION_NEEDED)
    if refused := logins.refused(session.client):
        raise RefusedError(refused)
    exchange = Exchange(logins.users.verifier)
    return _went_on(session, exchange, exchange.begin(text))


def answer(session: Session, line: bytes) -> Reply | Login:
    """The client's next line of the exchange, without its line end."""
    exchange, session.exchange = session.exchange, None
    assert exchange
    return _went_on(session, exchange, exchange.answer(line))


def _went_on(session: Session, exchange: Exchange, step: Step) -> Reply | Login:
    if isinstance(step, Challenge):
        session.exchange = exchange
        return step.reply
    return Login(exchange.mechanism, step)
