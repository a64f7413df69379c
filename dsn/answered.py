"""Who had an answer lately: one for an address in so long, over all processes (RFC 3834 section 2)."""

from common.broker import Broker, BrokerError, Message
from common.ids import token
from common.suppression.store import STREAM
from common.suppression.suppression import folded

_PREFIX = "$KV.suppression.answered."


async def claim(broker: Broker, address: str, seconds: float, by: str) -> bool:
    """Whether the mail ``by`` may be answered: nobody else has claimed it for ``seconds``. Claimed again it still may.

    The claim goes first: who dies before the answer is stored is handed the mail again, and answers. Raises
    BrokerFailure.
    """
    subject = _PREFIX + token(folded(address))
    headers = {"Nats-Expected-Last-Subject-Sequence": "0", "Nats-TTL": f"{max(1, round(seconds))}s"}
    try:
        await broker.put(Message(subject, by.encode(), headers))
    except BrokerError as error:
        if error.code not in BrokerError.WRONG_SEQUENCE:
            raise
        stored = await broker.last(STREAM, subject)
        return stored is not None and stored.body == by.encode()
    return True
