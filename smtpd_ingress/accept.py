"""The end of a message: it is queued or refused."""

import structlog

from common import metrics
from common.codes import BAD_CONTENT, LOCAL_ERROR, OK, Reply
from common.counting import count
from common.submit_error import SubmitError
from smtpd_ingress.message import Message
from smtpd_ingress.quota import Reservation
from smtpd_ingress.session import Session

log = structlog.get_logger()

_RESULTS = {2: "accepted", 4: "deferred", 5: "rejected"}


async def accept(session: Session, message: Message) -> Reply:
    """Queue a whole message; gives what became of it. 250 means stored."""
    content = message.finish()
    reply = message.refusal or await _queue(session, content)
    count(metrics.SMTPD_MESSAGES, session.context.listener.name, _RESULTS[reply.code // 100])
    return reply


async def _queue(session: Session, content: bytes) -> Reply:
    transaction = session.transaction
    assert transaction
    entries, rows = transaction.queued_as(session.context, session.client)
    row = rows[0]
    if any(entry.unsubscribe for entry in entries) and not session.context.has_unsubscribe:
        return BAD_CONTENT.but("X-Postjet-Unsubscribe: there is no link here; the administrator sets [unsubscribe] url")
    row.tls_version, row.tls_cipher = session.tls, session.cipher
    reservation: Reservation | None = None
    if (user := session.user) and session.context.quotas and not transaction.feedback:
        reserved = await session.context.quotas.reserve(user, len(entries))
        if isinstance(reserved, Reply):
            return reserved
        reservation = reserved
    try:
        await session.context.submit(entries, content, *rows)
    except SubmitError as error:
        if reservation:
            reservation.give_back()
        return Reply(error.code, error.enhanced, error.text)
    except Exception:
        log.exception(f"{row.submission}: not queued")
        return LOCAL_ERROR
    login = f"sasl_username={session.login}, " if session.login else ""
    held_back = f" (suppressed={len(rows) - 1})" if len(rows) > 1 else ""
    log.info(
        f"{row.submission}: client=[{row.client_address}], {login}message-id={row.message_id}, "
        f"from=<{row.sender}>, size={row.size}, nrcpt={len(entries)}{held_back}"
    )
    count(metrics.SMTPD_RECIPIENTS, row.interface, by=len(entries))
    count(metrics.SMTPD_BYTES, row.interface, by=row.size)
    return OK.but(f"Ok: queued as {row.submission}")
