"""How endpoints do, in KV: ``$KV.webhooks.<name>`` holds one as JSON; a change is known within a second."""

import asyncio
import json
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from common import metrics
from common.broker import Broker, BrokerError, Message, Stored
from common.counting import count
from common.entry import DEFAULT_POOL
from common.event import Event, Type
from common.queue import rows
from common.subjects import HOOKS_STREAM, hooks
from common.waits import keep_looking
from common.webhook import Webhook

log = structlog.get_logger()

STREAM = "KV_webhooks"
#: Held by who reads for all endpoints.
LEASE = "webhooks"
_PREFIX = "$KV.webhooks."
#: Seconds between two looks.
EVERY = 0.5


@dataclass(frozen=True, slots=True)
class State:
    """Of one endpoint. Times are seconds since 1970, 0: it is not so."""

    disabled: float = 0
    reason: str = ""
    """Why it is disabled."""
    failing: float = 0
    """Since when it fails all the time."""
    error: str = ""
    """What the last failure was."""
    full: float = 0
    """The earliest time of the events that were left out for want of room, until that is told."""


NEW = State()


def _read(stored: Stored) -> State:
    values = json.loads(stored.body)
    return State(**{name: values[name] for name in State.__slots__ if name in values})


async def read_all(broker: Broker) -> dict[str, State]:
    """By name, of those that are or were configured. Raises BrokerFailure."""
    found = await broker.page(STREAM, {"multi_last": [f"{_PREFIX}>"]})
    return {stored.subject.removeprefix(_PREFIX): _read(stored) for stored in found}


async def change(
    broker: Broker, name: str, when: Callable[[State], bool] = lambda _state: True, **changes: Any
) -> bool:
    """Change one, where it is so; whether it was changed. Raises BrokerFailure."""
    while True:
        stored = await broker.last(STREAM, _PREFIX + name)
        old = _read(stored) if stored else NEW
        new = replace(old, **changes)
        if not when(old) or (stored and new == old):
            return False
        guard = {"Nats-Expected-Last-Subject-Sequence": str(stored.sequence if stored else 0)}
        try:
            await broker.put(Message(_PREFIX + name, json.dumps(asdict(new)).encode(), guard))
            return True
        except BrokerError as error:
            if error.code not in BrokerError.WRONG_SEQUENCE:
                raise


async def only(broker: Broker, names: Collection[str]) -> None:
    """Remember these, and forget those that are not in the configuration any more. Raises BrokerFailure."""
    known = await read_all(broker)
    for name in names:
        if name not in known:
            await change(broker, name)
    for name in known.keys() - set(names):
        number = await broker.purge(HOOKS_STREAM, hooks("*", name))
        await broker.purge(STREAM, _PREFIX + name)
        log.warning("webhook %s is not in the configuration any more; %s messages for it are removed", name, number)


async def expire(broker: Broker, endpoints: Iterable[Webhook]) -> None:
    """Remove what waits for a disabled endpoint once all of it is too old to be sent. Raises BrokerFailure."""
    # what is stored from here on may be for one that has just been enabled
    end = (await broker.api(f"STREAM.INFO.{HOOKS_STREAM}"))["state"]["last_seq"] + 1
    known = await read_all(broker)
    for endpoint in endpoints:
        since = known.get(endpoint.name, NEW).disabled
        if not since or time.time() - since <= endpoint.expire:
            continue
        if number := await broker.purge(HOOKS_STREAM, hooks("*", endpoint.name), end):
            count(metrics.WEBHOOKS_LEFT_OUT, endpoint.name, "expired", by=number)
            log.warning("webhook %s is disabled; %s messages are too old to be sent", endpoint.name, number)


async def disable(broker: Broker, name: str, reason: str) -> bool:
    """Send it nothing more until somebody enables it, and tell; whether it was enabled. Raises BrokerFailure."""
    done = await change(broker, name, lambda state: not state.disabled, disabled=time.time(), reason=reason)
    if done:
        await tell(broker, f"webhook {name} is disabled: {reason}; once it is mended: postjet webhook enable {name}")
    return done


async def enable(broker: Broker, name: str, by: str) -> bool:
    """Send to it again; whether it was disabled. Raises BrokerFailure."""
    as_new = {"disabled": 0.0, "reason": "", "failing": 0.0, "error": ""}
    done = await change(broker, name, lambda state: bool(state.disabled), **as_new)
    if done:
        await tell(broker, f"webhook {name} is enabled by {by}")
    return done


async def tell(broker: Broker, text: str) -> None:
    """A notice: an event. Raises BrokerFailure."""
    event = Event(time=time.time(), type=Type.ADMIN, reason="webhook", text=text)
    await broker.store([rows.message(DEFAULT_POOL, [event])])


class States:
    """The states as one process knows them."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._revision = -1
        self._states: dict[str, State] = {}
        self._looking = asyncio.Lock()

    def get(self, name: str) -> State:
        """That of an endpoint."""
        return self._states.get(name, NEW)

    async def look(self) -> None:
        """Take over what changed. Raises BrokerFailure."""
        async with self._looking:
            revision = (await self._broker.api(f"STREAM.INFO.{STREAM}"))["state"]["last_seq"]
            if revision != self._revision:
                self._states, self._revision = await read_all(self._broker), revision

    async def watch(self) -> None:
        """Look again and again, for ever; a broker that does not answer is asked again."""
        await keep_looking(self.look, EVERY, "webhooks")
