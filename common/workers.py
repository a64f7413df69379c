"""What workers say when they are asked: which mail waits in them and for what, and how much of their limits is used.

A question is JSON on ``workers.ask``, which every worker of every pool answers, each for itself. Answers are small:
what is too much to tell is counted.
"""

import contextlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from common.broker import Broker, BrokerFailure
from common.limits.limit import Limit, What
from common.limits.owner import Use
from common.queue import leases

SUBJECT = "workers.ask"
#: Seconds that workers have for an answer.
TIMEOUT = 0.7
#: Characters of a reason that are told.
MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    site: str = ""
    """A route's key; without one about every site that is down."""
    domain: str = ""
    """Without one about all that waits."""
    limits: tuple[Limit, ...] = ()

    def pack(self) -> bytes:
        """As it travels."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, data: bytes) -> "Question":
        """Raises ValueError, TypeError, KeyError."""
        values = json.loads(data)
        limits = tuple(Limit(**limit | {"what": What(limit["what"])}) for limit in values["limits"])
        return cls(values["site"], values["domain"], limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Mail that waits in a worker, all of it for the same. Times are seconds since 1970."""

    pool: str = ""
    worker: str = ""
    site: str
    source: str
    waits_for: str
    since: float
    until: float
    """0: nobody knows."""
    parked: int
    domains: dict[str, int]
    """How many for each; of very many domains the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteNow:
    """A site as one worker sees it, from one source address, under the same limits."""

    pool: str = ""
    worker: str = ""
    site: str
    source: str
    busy: int
    """Connections in use."""
    idle: int
    down_until: float
    """Left alone until then, in seconds since 1970; 0: it is up, as far as we know."""
    down: str
    """What it said, or did not."""


@dataclass(slots=True)
class Said:
    """All answers together."""

    lines: list[Waiting] = field(default_factory=list)
    sites: list[SiteNow] = field(default_factory=list)
    uses: dict[Limit, Use] = field(default_factory=dict)
    """Of the limits that were asked about, where their owner answered."""
    left_off: int = 0
    """Lines that were too many to tell."""
    live: dict[str, set[str]] = field(default_factory=dict)
    """Pool to the workers that live."""
    silent: set[str] = field(default_factory=set)
    """Those of them that did not answer."""

    def waits_for(self, pool: str, domain: str) -> str:
        """What holds back a domain's mail that is ready; "" where nobody says that something does."""
        if not self.live.get(pool):
            return f"a worker: none of pool {pool} runs"
        lines = [line for line in self.lines if line.pool == pool and domain in line.domains]
        return min(lines, key=lambda line: line.since).waits_for if lines else ""

    def add(self, question: Question, answer: dict[str, Any]) -> None:
        """One worker's answer, as ``answer`` made it. Raises TypeError, ValueError, KeyError."""
        origin = {"pool": answer["pool"], "worker": answer["worker"]}
        self.lines += [Waiting(**line | origin) for line in answer["lines"]]
        self.sites += [SiteNow(**site | origin) for site in answer["sites"]]
        self.uses |= {question.limits[number]: Use(*use) for number, *use in answer["uses"]}
        self.left_off += answer["left_off"]
        self.silent.discard(answer["worker"])


async def ask(broker: Broker, question: Question = Question()) -> Said:
    """Ask all workers; back when all who live have answered, or after TIMEOUT. Raises BrokerFailure."""
    said = Said()
    for key in await leases.live(broker, "worker"):
        worker = key.removeprefix("worker.")
        said.live.setdefault(worker.partition(".")[0], set()).add(worker)
        said.silent.add(worker)
    if not said.silent:
        return said
    answers = broker.replies(SUBJECT, question.pack(), TIMEOUT)
    with contextlib.suppress(BrokerFailure):  # whoever is silent is named
        async with contextlib.aclosing(answers):
            async for message in answers:
                if not message.data:  # no responders
                    break
                with contextlib.suppress(ValueError, TypeError, KeyError, IndexError):  # another version's
                    said.add(question, json.loads(message.data))
                if not said.silent:
                    break
    return said
