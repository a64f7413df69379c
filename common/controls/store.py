"""Orders in the broker, ``$KV.controls.<id>``: given, changed and read by everybody."""

import contextlib
import time

import structlog

from common.broker import Broker, BrokerError, Message
from common.controls.control import Control

log = structlog.get_logger()

STREAM = "KV_controls"
SUBJECTS = "$KV.controls.>"


def subject(order: Control) -> str:
    """Where an order lies."""
    return f"$KV.controls.{order.id}"


async def revision(broker: Broker) -> tuple[int, int]:
    """That of the last order written, and how many there are: one that is removed leaves no other trace.

    Raises what ``Broker.api`` raises.
    """
    state = (await broker.api(f"STREAM.INFO.{STREAM}"))["state"]
    return state["last_seq"], state["messages"]


async def read(broker: Broker) -> list[Control]:
    """All orders, the oldest first. Raises what ``Broker.page`` raises."""
    found = []
    for stored in await broker.page(STREAM, {"multi_last": [SUBJECTS]}):
        if not stored.body:
            continue
        try:
            found.append(Control.unpack(stored.body, stored.sequence))
        except ValueError as error:
            log.error("controls: %s cannot be read and is not obeyed: %s", stored.subject, error)
    return sorted(found, key=lambda order: order.since)


async def write(broker: Broker, order: Control) -> Control:
    """Store an order; nobody may have changed it since it was read. Raises BrokerError and what request raises."""
    guard = {"Nats-Expected-Last-Subject-Sequence": str(order.revision)}
    return order.but(revision=await broker.put(Message(subject(order), order.pack(), guard)))


async def remove(broker: Broker, order: Control) -> None:
    """Forget an order whose work is done."""
    await broker.purge(STREAM, subject(order))


async def end(broker: Broker, order: Control, by: str) -> None:
    """Have an order end, unless it does already."""
    if not order.ended:
        with contextlib.suppress(BrokerError):  # the mover changed it meanwhile: its time was over
            await write(broker, order.but(ended=time.time(), ended_by=by))
