"""Whether the embedded nats-server syncs every write before it confirms it; without that, 250 does not mean stored."""

import json

from common.broker import Broker, NoBrokerError

#: The server's account for such questions; its password is the other one's.
USER = "sys"


async def ask(broker: Broker) -> bool:
    """Ask over a connection of ``USER``. Raises NoBrokerError until JetStream is up, and what request raises."""
    answer = json.loads((await broker.request("$SYS.REQ.SERVER.PING.VARZ", timeout=2.0)).data)
    config = (answer["data"].get("jetstream") or {}).get("config")
    if not config:
        raise NoBrokerError("JetStream is not up")
    return bool(config.get("sync_always"))
