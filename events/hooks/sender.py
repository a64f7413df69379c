"""What waits for one endpoint goes to it: so many requests at a time, each message until it is taken or too old.

The broker hands out no more than ``parallel`` messages of an endpoint at a time, to all processes together, and again
what was not acked: what a process that died had in hand comes back after ``timeout`` and GRACE seconds.
"""

import asyncio
import json
import random
import time

import structlog
from nats.aio.msg import Msg

from common import metrics
from common.broker import Broker, BrokerFailure
from common.counting import count, took
from common.subjects import HOOKS_STREAM, hook, hooks
from common.waits import wait
from common.webhook import Webhook
from events.hooks import state
from events.hooks.client import Answer, Client
from events.hooks.queue import Hook
from events.hooks.retry import Breaker, delay
from events.hooks.state import States

log = structlog.get_logger()

#: Seconds that a pull waits, between tries after a failure of the broker's, and beyond a request until it is given up.
PULL, RETRY, GRACE = 30.0, 1.0, 5.0
GONE = 410  # RFC 9110 15.5.11; Standard Webhooks 1.0: it wants no more


class Sender:
    """Sends to one endpoint until ``stopping`` is set, then ends what has begun."""

    def __init__(self, broker: Broker, client: Client, states: States, stopping: asyncio.Event) -> None:
        self._broker, self._client, self._states, self._stopping = broker, client, states, stopping
        self._endpoint: Webhook = client.endpoint
        self._name = client.endpoint.name
        self._consumer = f"hook-{self._name}"
        self._breaker = Breaker()
        self._inbox = broker.new_inbox()
        self._answers: asyncio.Queue[Msg | None] = asyncio.Queue()

    async def run(self) -> None:
        """As many lines as there may be requests at a time."""
        await self._broker.subscribe(self._inbox, self._on_answer)
        self._broker.on_connect.append(self._begin_again)
        await self._ensure_quietly()
        await asyncio.gather(*(self._line() for _ in range(self._endpoint.parallel)))

    async def _line(self) -> None:
        while not self._stopping.is_set():
            pause = 1.0 if self._states.get(self._name).disabled else self._breaker.pause(time.monotonic())
            if pause:
                await wait(self._stopping, min(pause, 1.0))
                continue
            try:
                message = await self._pull()
                if message and self._states.get(self._name).disabled:
                    await self._broker.publish(message.reply, b"-NAK")
                elif message:
                    await self._work_on(message)
                else:
                    self._breaker.nothing()
            except BrokerFailure as error:  # what is in hand is handed out again
                self._breaker.nothing()
                log.debug("webhook %s: broker: %s", self._name, error)
                await wait(self._stopping, RETRY)
                await self._ensure_quietly()

    # --- taking ---

    async def _begin_again(self) -> None:
        """Consumers lie in the broker's memory, and so did what was asked for."""
        await self._ensure_quietly()
        for _ in range(self._endpoint.parallel):
            self._answers.put_nowait(None)

    async def _ensure_quietly(self) -> None:
        try:
            await self._ensure()
        except BrokerFailure as error:
            log.debug("webhook %s: broker: %s", self._name, error)

    async def _ensure(self) -> None:
        """The consumer, made or brought up to date."""
        definition = {
            "stream_name": HOOKS_STREAM,
            "config": {
                "name": self._consumer,
                "durable_name": self._consumer,
                "filter_subjects": [hooks("q", self._name)],
                "ack_policy": "explicit",
                "deliver_policy": "all",
                "ack_wait": int((self._endpoint.timeout + GRACE) * 1e9),
                "max_ack_pending": self._endpoint.parallel,
                "max_deliver": -1,
                "mem_storage": True,
                "num_replicas": 1,
            },
        }
        await self._broker.api(f"CONSUMER.CREATE.{HOOKS_STREAM}.{self._consumer}", definition)

    async def _pull(self) -> Msg | None:
        """The next message; None where there is none for a while, or it is time to stop. Raises BrokerFailure.

        One pull has one answer; which line gets whose does not matter.
        """
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{HOOKS_STREAM}.{self._consumer}"
        asked = json.dumps({"batch": 1, "expires": int(PULL * 1e9)}).encode()
        await self._broker.publish(subject, asked, reply=self._inbox)
        getting, stop = asyncio.ensure_future(self._answers.get()), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait([getting, stop], timeout=PULL + 2, return_when=asyncio.FIRST_COMPLETED)
            message = getting.result() if getting.done() else None
        finally:
            getting.cancel()
            stop.cancel()
        if message and not message.reply:
            if (message.headers or {}).get("Status") != "408":  # its time is over, and nothing was there
                raise BrokerFailure(f"pull: {message.headers}")
            return None
        return message

    async def _on_answer(self, message: Msg) -> None:
        self._answers.put_nowait(message)

    # --- sending ---

    async def _work_on(self, message: Msg) -> None:
        """One try at a message. Raises BrokerFailure: it is handed out again, as it was or scheduled."""
        found, now = Hook.of(message), time.time()
        if now - found.since > self._endpoint.expire:
            self._breaker.nothing()
            await self._give_up(message)
            return
        answer = await self._client.post(found.id, found.body)
        result = "delivered" if answer.good else "refused" if answer.refused else "failed"
        count(metrics.WEBHOOK_ATTEMPTS, self._name, result)
        took(metrics.WEBHOOK_SECONDS, answer.seconds, self._name)
        if answer.good:
            await self._succeeded(message, found)
        else:
            await self._failed(message, found, answer)

    async def _succeeded(self, message: Msg, found: Hook) -> None:
        took(metrics.WEBHOOK_LATENESS, max(0.0, time.time() - found.since), self._name)
        if self._breaker.succeeded():
            log.info("webhook %s: it answers again", self._name)
        if message.metadata.num_delivered > 1:  # whoever had it before may have scheduled another try
            await self._broker.purge(HOOKS_STREAM, hook("s", self._name, found.id))
        await self._ack(message)
        if self._states.get(self._name).failing:
            await state.change(self._broker, self._name, failing=0.0, error="")

    async def _failed(self, message: Msg, found: Hook, answer: Answer) -> None:
        now = time.time()
        log.info("webhook %s: %s, try %s: %s", self._name, found.id, found.tries + 1, answer)
        opened = self._breaker.failed(time.monotonic())
        at = now + delay(found.tries + 1, random.random(), answer.retry_after)
        if at - found.since > self._endpoint.expire:
            await self._give_up(message)
        else:
            await self._broker.put(found.later(at))
            await self._ack(message)
        if answer.status == GONE:
            await self._disable("it answered 410 Gone")
        elif opened or self._breaker.is_open:
            await self._fails_on(now, answer)

    async def _fails_on(self, now: float, answer: Answer) -> None:
        """It fails again and again; for too long: it is disabled."""
        since = self._states.get(self._name).failing
        if not since:
            changes = {"failing": now, "error": str(answer)}
            if await state.change(self._broker, self._name, lambda known: not known.failing, **changes):
                log.warning("webhook %s fails again and again: %s; its messages wait", self._name, answer)
        elif now - since > self._endpoint.disable_after:
            await self._disable(f"it failed for longer than disable_after, last: {answer}")

    async def _disable(self, reason: str) -> None:
        if await state.disable(self._broker, self._name, reason):
            log.error("webhook %s is disabled: %s", self._name, reason)
        await self._states.look()

    async def _give_up(self, message: Msg) -> None:
        count(metrics.WEBHOOKS_LEFT_OUT, self._name, "expired")
        await self._ack(message)

    async def _ack(self, message: Msg) -> None:
        """Take it out of the queue. Nobody waits for that: what is not acked is sent again. Raises BrokerFailure."""
        await self._broker.publish(message.reply, b"+ACK")
