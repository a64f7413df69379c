"""The end of a message: it is queued or refused."""

import structlog

from common.codes import LOCAL_ERROR, OK, Reply
from common.submit_error import SubmitError
from smtpd_ingress.dialogue import Dialogue
from smtpd_ingress.message import Message

log = structlog.get_logger()


async def accept(dialogue: Dialogue, message: Message) -> Reply:
    """Queue a whole message and end its transaction; gives the reply. 250 means stored."""
    transaction, site, submission = dialogue.transaction, dialogue.site, message.submission
    assert transaction
    content = message.finish()
    if not (refusal := message.refusal):
        entries, row = transaction.queued_as(site, dialogue.client, message)
        try:
            await site.submit(entries, content, row)
        except SubmitError as error:
            refusal = Reply(error.code, error.enhanced, error.text)
        except Exception:
            log.exception(f"{submission}: not queued")
            refusal = LOCAL_ERROR
    reply = dialogue.refuse("dot", refusal) if refusal else OK.but(f"Ok: queued as {submission}")
    dialogue.transaction = None
    if not refusal:
        log.info(
            f"{submission}: client=[{dialogue.client}], message-id={message.message_id}, "
            f"from=<{row.sender}>, size={row.size}, nrcpt={len(entries)}"
        )
    return reply
