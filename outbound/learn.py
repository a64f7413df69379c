"""What replies teach: reply rules at work."""

import time

import structlog

from common.broker import Broker, BrokerFailure
from common.classify.classifier import Classifier
from common.event import Event, Type
from common.policies.holds import Hold, Holds
from common.policies.policies import Policies
from common.policies.replies import Rule, Triggers
from common.policies.reply_rule import OUTCOME
from common.queue.finish import Finisher
from common.units import Rate, format_duration
from outbound.failure import DeliveryFailure
from outbound.ways import Way

log = structlog.get_logger()


class Learner:
    """Does what the rules for a reply say."""

    def __init__(
        self, policies: Policies, holds: Holds, broker: Broker, finisher: Finisher, worker: str
    ) -> None:
        self._policies, self._holds, self._broker, self._finisher = policies, holds, broker, finisher
        self._worker = worker
        self._triggers = Triggers(time.monotonic)

    @property
    def classifier(self) -> Classifier:
        """Says what kind of refusal it is, by the rules in force."""
        return self._policies.classes

    async def learn(self, failure: DeliveryFailure, way: Way) -> float:
        """Do what is to be done with provider, site or source, and with this failure.

        The seconds after which this delivery is to be tried again; 0: no rule says.
        """
        retry = 0.0
        if failure.reason != "rejected":  # our own words are nobody's policy
            return retry
        provider = way.policy.provider
        for rule in self._policies.replies.match(provider, failure.code, failure.enhanced, failure.text):
            key = rule.key(provider, way.route.key, way.source)
            if rule.rule.action not in OUTCOME:
                if self._triggers.fires(rule, key):
                    await self._act(rule, key, failure, way)
            elif rule.rule.action == "retry":
                assert isinstance(rule.rule.amount, float)
                retry = rule.rule.amount
            else:
                failure.permanent = rule.rule.action == "permanent"
        return retry

    async def _act(self, rule: Rule, key: str, failure: DeliveryFailure, way: Way) -> None:
        now, amount = time.time(), rule.rule.amount
        number, per = (amount.amount, amount.per) if isinstance(amount, Rate) else (int(amount or 0), 0.0)
        until, why = now + rule.rule.for_, str(failure)
        hold = Hold(key, rule.rule.action, now, until, rule.name, rule.origin, why, number, per)
        try:
            new = await self._holds.place(self._broker, hold)
        except BrokerFailure as error:
            log.warning("reply rule %s: only this worker obeys it for now: %s", rule.name, error)
            new = True
        if not new:
            return
        text = f"reply rule {rule.name} ({rule.origin}): {described(hold)} for {format_duration(rule.rule.for_)}"
        log.warning("%s; %s", text, failure)
        self._finisher.tell(
            Event(
                time=now, type=Type.ADMIN, pool=self._finisher.pool, worker=self._worker, site=way.route.key,
                provider=way.policy.provider, source_address=way.source, reason=hold.action, phase=failure.phase,
                code=failure.code, enhanced_code=failure.enhanced, text=f"{text}; {failure}", mx_host=failure.host,
                mx_address=failure.address, next_attempt=hold.until,
            )
        )  # fmt: skip


def described(hold: Hold) -> str:
    """What a hold does to what."""
    match hold.action:
        case "suspend":
            return f"{hold.key} suspended"
        case "rate":
            return f"{hold.key} held to {Rate(hold.amount, hold.per)}"
        case _:
            return f"{hold.key} held to {hold.amount} {hold.action}"
