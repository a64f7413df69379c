"""DATA and BDAT: the message itself (RFC 5321 4.1.1.4, RFC 3030)."""

import re
from typing import NamedTuple

from common.codes import BAD_ARGUMENT, BAD_SEQUENCE, NO_RECIPIENTS, START_DATA, TOO_BIG, Reply
from smtpd_ingress.message import most_read
from smtpd_ingress.rejection import RefusedError
from smtpd_ingress.session import Session
from smtpd_ingress.transaction import Transaction
from smtpd_ingress.verbs.envelope import open_transaction

_BDAT = re.compile(r"(?P<size>[0-9]{1,20})(?P<last> +LAST)?", re.I)  # RFC 3030 section 2


class Chunk(NamedTuple):
    """So many bytes of content come now, and then the reply to them."""

    size: int
    last: bool
    refusal: Reply | None
    """They are read and thrown away."""


def data(session: Session, text: str) -> Reply:
    """The message comes next, up to a line with a dot."""
    if text:
        raise RefusedError(BAD_ARGUMENT.but("Syntax: DATA"))
    transaction = open_transaction(session)
    if transaction.message:  # RFC 3030 section 3
        raise RefusedError(BAD_SEQUENCE.but("BDAT has begun, DATA cannot follow it"))
    _begin(session, transaction)
    return START_DATA


def bdat(session: Session, text: str) -> Chunk:
    """A chunk of the message follows this command at once, whatever we answer: it must not be read as commands."""
    given = _BDAT.fullmatch(text)
    if not given:  # nobody knows where the next command begins
        raise RefusedError(BAD_ARGUMENT.but("Syntax: BDAT size [LAST]")._replace(close=True))
    size, refusal = int(given["size"]), None
    if size > most_read(session.context.listener.max_message):  # no client that knows of SIZE means it
        raise RefusedError(TOO_BIG.but("Chunk too big")._replace(close=True))
    try:
        transaction = open_transaction(session)
        if not transaction.message:
            _begin(session, transaction)
    except RefusedError as error:
        refusal = error.reply
    return Chunk(size, bool(given["last"]), refusal)


def _begin(session: Session, transaction: Transaction) -> None:
    if not transaction.recipients:
        raise RefusedError(NO_RECIPIENTS)
    transaction.message = session.message(transaction)
