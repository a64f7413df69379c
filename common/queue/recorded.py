"""How far the recorder is, in KV: what of EVENTS is in ClickHouse, be it purged or not.

``$KV.intents.recorder`` holds the range that is being inserted: ``{"stream": when EVENTS was created, "first": …,
"last": …, "by_row": whether}``, with sequences. All that lies before it is recorded.
"""

import json

from common.broker import Broker

STREAM, SUBJECT = "KV_intents", "$KV.intents.recorder"


async def before(broker: Broker, created: str) -> int:
    """Before which sequence of the EVENTS that was created then all is recorded. Raises BrokerFailure."""
    stored = await broker.last(STREAM, SUBJECT)
    intent = json.loads(stored.body) if stored else {}
    return int(intent["first"]) if intent.get("stream") == created else 0
