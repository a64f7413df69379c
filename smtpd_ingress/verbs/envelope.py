"""MAIL and RCPT: from whom and to whom (RFC 5321 4.1.1.2, 4.1.1.3)."""

import time
from dataclasses import replace

from common.addresses import Address
from common.codes import (
    BAD_RECIPIENT,
    BAD_SENDER,
    BAD_SEQUENCE,
    LOGIN_NEEDED,
    NO_ROOM,
    NO_SUCH_DOMAIN,
    NO_SUCH_MAILBOX,
    PRIORITY_LOWERED,
    RECIPIENT_OK,
    RELAYING_DENIED,
    SENDER_NOT_ALLOWED,
    SENDER_OK,
    SUPPRESSED,
    TOO_BIG,
    TOO_MANY_RECIPIENTS,
    UNKNOWN_PARAMETER,
    Reply,
)
from common.options import Options
from common.suppression.suppression import Source
from smtpd_ingress.params import (
    Given,
    MailParameters,
    RcptParameters,
    mail_parameters,
    path_address,
    rcpt_parameters,
    split_argument,
)
from smtpd_ingress.rejection import RefusedError
from smtpd_ingress.session import Session
from smtpd_ingress.transaction import Transaction


def mail(session: Session, text: str) -> Reply:
    """Open a transaction."""
    if not session.helo:
        raise RefusedError(BAD_SEQUENCE.but("Send EHLO first"))
    if session.transaction:
        raise RefusedError(BAD_SEQUENCE.but("MAIL was sent already"))
    _check_login(session)
    session.may_xclient &= not session.spoken_for
    path, parameters = split_argument("FROM", text)
    _need_esmtp(session, parameters)
    now = time.time()
    said = mail_parameters(parameters, now, future_release=session.may_set_options)
    sender = path_address(path, BAD_SENDER, smtputf8=said.smtputf8)
    if (user := session.user) and not user.may_send_as(str(sender or "")):
        raise RefusedError(SENDER_NOT_ALLOWED.but(f"<{sender}>: user {user.name} may not send as this address"))
    limit = session.context.listener.max_message
    if said.size > limit:  # RFC 1870 section 6.1
        raise RefusedError(TOO_BIG.but(f"Message too big: more than {limit} bytes"))
    if not session.context.has_room(said.size):  # the same
        raise RefusedError(NO_ROOM)
    if not session.trusted:
        said = said._replace(deliver_by=0)
    options, reply = _with_priority(session, said)
    session.transaction = Transaction(
        sender=str(sender or ""), said=said, options=options, defaults=session.defaults, began=now
    )
    return reply


def rcpt(session: Session, text: str) -> Reply:
    """Add a recipient."""
    transaction = open_transaction(session)
    if transaction.message:
        raise RefusedError(BAD_SEQUENCE.but("BDAT has begun"))
    path, parameters = split_argument("TO", text)
    _need_esmtp(session, parameters)
    said = rcpt_parameters(parameters, smtputf8=transaction.smtputf8)
    if not session.trusted:
        said = said._replace(notify=_least(said.notify))
    address = path_address(path, BAD_RECIPIENT, smtputf8=transaction.smtputf8)
    if not address:
        raise RefusedError(BAD_RECIPIENT.but("<>: no address"))
    feedback = session.context.feedback
    is_feedback = feedback is not None and address.domain == feedback.domain
    if transaction.recipients and is_feedback != transaction.feedback:
        # they lie in different queues, and are not stored in one step; RFC 5321 4.5.3.1.10: the client sends them again
        raise RefusedError(TOO_MANY_RECIPIENTS.but("Feedback and other mail: send the rest in another transaction"))
    if feedback and is_feedback:
        recipient, said = feedback.recipient(session.client, address, trusted=session.trusted), RcptParameters()
    else:
        recipient = _destination(session, address)
    # RFC 5321 4.5.3.1.10: the recipients before it get the message.
    if len(transaction.recipients) >= session.context.listener.max_recipients:
        raise RefusedError(TOO_MANY_RECIPIENTS)
    if session.trusted and not is_feedback and recipient not in transaction.suppressed:
        _look_up(session, transaction, recipient)
    transaction.recipients.setdefault(recipient, said)
    transaction.feedback = is_feedback
    return RECIPIENT_OK


def _look_up(session: Session, transaction: Transaction, recipient: Address) -> None:
    """Note that a recipient is suppressed, or raise RefusedError. A stranger's mail is for us, and not held back."""
    found = session.context.suppressions.find(transaction.sender, str(recipient))
    if not found or found.source is Source.COUNTED:
        return
    if session.context.refuse_suppressed:
        way_back = f"'postjet suppression remove {recipient}' lets mail through again"
        raise RefusedError(SUPPRESSED.but(f"<{recipient}>: suppressed: {found}; {way_back}"))
    transaction.suppressed[recipient] = found


def _least(notify: str) -> str:
    """What strangers get of NOTIFY: their sender may be anybody, who has asked for no report but on a failure."""
    if not notify:
        return notify
    return "FAILURE" if "FAILURE" in notify else "NEVER"


def _need_esmtp(session: Session, parameters: Given) -> None:
    """Refuse parameters after HELO, which offered none (RFC 5321 4.1.1.11). Raises RefusedError."""
    if not session.esmtp:
        for name in parameters:
            raise RefusedError(UNKNOWN_PARAMETER.but(f"{name}: send EHLO to use parameters"))


def _with_priority(session: Session, said: MailParameters) -> tuple[Options, Reply]:
    """The options that MAIL sets, and the reply that says which priority is used (RFC 6710 section 5)."""
    asked = said.mt_priority
    if asked is None:
        return said.options, SENDER_OK
    if asked > 0 and not session.may_set_options:
        asked, reply = 0, PRIORITY_LOWERED
    else:
        reply = SENDER_OK.but(f"Ok, priority {asked}")
    return replace(said.options, priority=(asked + 9) // 2), reply


def open_transaction(session: Session) -> Transaction:
    """The transaction that MAIL opened. Raises RefusedError."""
    if not session.transaction:
        raise RefusedError(BAD_SEQUENCE.but("Send MAIL first"))
    if session.login and not session.user:  # removed since MAIL: nobody's pools and quota hold for it
        raise RefusedError(LOGIN_NEEDED)
    return session.transaction


def _check_login(session: Session) -> None:
    """Raises RefusedError where only users may send."""
    if session.login and not session.user:  # removed meanwhile
        session.login = ""
    if session.context.listener.auth == "required" and not session.login:
        raise RefusedError(LOGIN_NEEDED)


def _destination(session: Session, address: Address) -> Address:
    """Where mail to ``address`` goes. Raises RefusedError."""
    context = session.context
    if address.local.lower() == "postmaster" and address.domain in ("", context.hostname.lower()):
        if context.postmaster:  # RFC 5321 4.5.1: taken from everybody
            return context.postmaster
        if not address.domain:
            raise RefusedError(NO_SUCH_MAILBOX.but("<postmaster>: no such mailbox here"))
    if not session.trusted:
        raise RefusedError(RELAYING_DENIED.but(f"<{address}>: relaying denied for client [{session.client}]"))
    if not address.domain.startswith("[") and "." not in address.domain:  # RFC 5321 2.3.5
        raise RefusedError(NO_SUCH_DOMAIN.but(f"<{address}>: domain is not fully qualified"))
    return address
