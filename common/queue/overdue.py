"""Schedules that should have fired: the broker forgets one whose firing failed once, until it is published again."""

from common.broker import Broker, BrokerError, Message, Stored
from common.queue.listing import walk
from common.queue.schedule import is_due

#: A schedule that should have fired so many seconds ago is stuck.
OVERDUE = 60.0


async def fire_overdue(broker: Broker, stream: str, filter_: str, now: float) -> int:
    """Publish what is overdue at a time (seconds since 1970) again; how many. Raises what ``Broker.page`` raises."""
    count = 0
    seen: set[str] = set()  # what is sent again and has not fired yet comes up again at the end
    async for stored in walk(broker, stream, filter_):
        if is_due(stored.headers, now - OVERDUE) and stored.subject not in seen:
            seen.add(stored.subject)
            count += await _fire(broker, stored)
    return count


async def _fire(broker: Broker, stored: Stored) -> int:
    """Publish a schedule again as it is; refused (10071) means that it has fired meanwhile."""
    headers = {
        name: value
        for name, value in stored.headers.items()
        if not name.startswith("Nats-") or name in ("Nats-Schedule", "Nats-Schedule-Target", "Nats-Schedule-Rollup")
    }
    headers["Nats-Expected-Last-Subject-Sequence"] = str(stored.sequence)
    try:
        await broker.put(Message(stored.subject, stored.body, headers))
    except BrokerError as error:
        if error.code not in BrokerError.WRONG_SEQUENCE:
            raise
        return 0
    return 1
