"""A worker among the others: sees who lives, tells them what it holds, and carries what they ask of one another."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import msgpack
import structlog
from nats.aio.msg import Msg

from common.broker import Broker, BrokerFailure, NoBrokerError
from common.limits.client import Limiter
from common.limits.limit import Limit, What
from common.limits.owners import FRESH, Owners
from common.limits.slots import Slot
from common.queue import leases
from common.queue.streams import LEASE
from common.waits import wait

log = structlog.get_logger()

#: Seconds that an owner has for an answer.
TIMEOUT = 1.0


def name_of(pool: str, holder: str) -> str:
    """A worker's name among the workers of all pools."""
    return f"{pool}.{holder}"


class Member:
    """Carries messages of a ``limiter``; one subject for each worker: ``limits.<name>``."""

    def __init__(self, broker: Broker, owners: Owners, incarnation: str) -> None:
        self.broker, self.owners, self.incarnation = broker, owners, incarnation
        self.limiter = Limiter(owners, self)
        self.on_lapsed: Callable[[], None] = lambda: None
        """Told that others may have taken us for dead."""
        self._incarnations: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._lapsed = self.owners.seen
        """What was the last that we saw when we had lapsed."""
        self._connection = (broker.client, broker.client.stats["reconnects"])

    async def start(self) -> None:
        """Look who lives before we say that we do. Raises BrokerFailure."""
        self.owners.incomplete(time.monotonic() - await leases.age(self.broker) + LEASE)
        await self.broker.subscribe(f"limits.{self.owners.me}", self._on_message)
        await self._look()
        await self.broker.subscribe("$KV.leases.worker.>", self._on_lease)
        self.broker.on_connect.append(self._reconnected)

    async def keep(self) -> None:
        """Follow who lives and say what we hold, for ever."""
        while True:
            await wait(self._wake, leases.RENEW)
            self._wake.clear()
            try:
                self._lapse_if_old()
                await self._look()
            except BrokerFailure as error:
                log.debug("limits: %s", error)
                await asyncio.sleep(0.2)
                self._wake.set()

    def _lapse_if_old(self) -> None:
        """Before we see anew, which makes what we hold look good again."""
        if not self.owners.is_fresh(time.monotonic()) and self._lapsed != self.owners.seen:
            self._lapsed = self.owners.seen
            log.warning("limits: nothing was heard of the others for %g s; connections end with what is sent", FRESH)
            self.limiter.lapse()
            self.on_lapsed()

    async def _look(self) -> None:
        asked = time.monotonic()
        found = await leases.live(self.broker, "worker", "leaving")
        live = {key.partition(".")[2]: holder for key, holder in found.items() if key.startswith("worker.")}
        leaving = {key.partition(".")[2] for key in found if key.startswith("leaving.")}
        connection = (self.broker.client, self.broker.client.stats["reconnects"])
        if connection != self._connection:  # the broker may have been restarted: leases come back one by one
            self._connection = connection
            self.owners.incomplete(time.monotonic() + LEASE)
        self._lapse_if_old()
        if self.owners.see(time.monotonic(), live, leaving - live.keys(), asked):
            self.limiter.owner.owners_changed()
        self._incarnations = live
        self.limiter.owner.tidy()
        self.limiter.report_home()
        self._report()

    def _report(self) -> None:
        for worker in self.owners.workers - {self.owners.me}:
            self.tell(worker, "report", self.owners.digest, *self.limiter.report(worker))

    async def _reconnected(self) -> None:
        self._wake.set()

    async def _on_lease(self, message: Msg) -> None:
        """Who comes anew, or again, need not wait until we look."""
        worker = message.subject.removeprefix("$KV.leases.worker.")
        if self._incarnations.get(worker) != message.data.decode():
            self._wake.set()

    # --- messages ---

    async def ask(self, worker: str, verb: str, *arguments: object) -> Any:
        """The worker's answer; None where there is none, or it does not own what it is asked about."""
        try:
            answer = await self.broker.request(f"limits.{worker}", self._packed(verb, arguments), timeout=TIMEOUT)
        except NoBrokerError:
            await asyncio.sleep(0.05)  # it is about to start, or has just ended
            return None
        except BrokerFailure:
            return None
        return msgpack.unpackb(answer.data)

    def tell(self, worker: str, verb: str, *arguments: object) -> None:
        """Send without an answer; it may get lost."""
        task = asyncio.ensure_future(self._send(f"limits.{worker}", self._packed(verb, arguments)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, subject: str, body: bytes) -> None:
        with contextlib.suppress(BrokerFailure):
            await self.broker.publish(subject, body)

    def _packed(self, verb: str, arguments: tuple[object, ...]) -> bytes:
        packed: bytes = msgpack.packb([verb, self.owners.me, self.incarnation, *arguments])
        return packed

    async def _on_message(self, message: Msg) -> None:
        try:
            verb, worker, incarnation, *arguments = msgpack.unpackb(message.data, strict_map_key=False)
            answer = self._answer(verb, worker, incarnation, arguments)
        except (ValueError, TypeError) as error:  # another version's
            log.warning("limits: a message that is none: %s", error)
            answer = None
        if message.reply:
            await self._send(message.reply, msgpack.packb(answer))

    def _answer(self, verb: str, worker: str, incarnation: str, arguments: list[Any]) -> object:
        owner, me = self.limiter.owner, self.owners.me
        owner.hear(worker, incarnation)
        match verb, arguments:
            case "granted", (key, number):
                self.limiter.granted(worker, key, number)
            case "yield" | "spare", (key, group):
                self.limiter.on_wanted(key, group, verb == "spare")
            case "report", (digest, upto, held, waiting):
                owner.report(worker, upto, held, set(waiting))
                if digest != self.owners.digest:
                    self._wake.set()
                self.owners.agree(time.monotonic(), worker, digest)
            case "free", (key, number, group):
                owner.free(key, Slot(worker, number, group))
            case "slot", (key, what, amount, per, number, group) if self.owners.owner(key) == me:
                return owner.slot(Limit(key, What(what), amount, per), Slot(worker, number, group))
            case "token", (key, what, amount, per, earliest) if self.owners.owner(key) == me:
                return owner.token(Limit(key, What(what), amount, per), earliest)
            case "back", (key, what, amount, per, at):
                owner.give_back(Limit(key, What(what), amount, per), at)
        return None
