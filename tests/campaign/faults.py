"""The faults of a round: which, when, and what they hit. Chosen by a seed before the round begins."""

import asyncio
import contextlib
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import nats.errors
from nats.aio.msg import Msg
from scenario_support import broker
from support import until

from campaign.processes import PARENT, RESTART, WORDS, Victim, find, now, pids
from common.broker import BrokerFailure
from common.errors import UnavailableError
from master.demo.sink import Sink
from master.demo.sink_script import Phase, Rule
from master.demo.world import World

Action = Literal["kill", "kill twice", "kill in DATA", "stop", "die", "misbehave"]

#: Seconds that a process is stopped; longer than its lease, for workers only, in one of four.
STOP, LONG_STOP = 5.0, 12.0
#: Seconds that an insert takes, from the recorder's intent to what it purges.
INSERT = 0.05
#: Seconds that a sink is away.
AWAY = 3.0
PHASES: tuple[Phase, ...] = ("connect", "banner", "ehlo", "mail", "rcpt", "data", "dot", "taken")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is to happen when a part of the round is done."""

    at: float
    """From 0 to 1."""
    action: Action
    victim: str
    """A process, or ``sink``."""
    choice: int
    """Which of several."""
    seconds: float = 0


@dataclass(kw_only=True)
class Happened:
    """A fault as it took place. Times in seconds since 1970."""

    what: str
    victim: str
    since: float
    until: float = float("inf")
    """When what was hit worked again."""
    seconds: float = 0
    sink: Sink | None = None
    in_data: bool = False
    """Whether a sink was in a DATA phase that this broke off."""

    def __str__(self) -> str:
        return f"{self.what} {self.victim}" + (" in DATA" if self.in_data else "")


def plan(chance: random.Random, count: int, *, long_stops: bool) -> list[Fault]:
    """So many faults in the order of their time; the first kills a worker in a DATA phase."""
    faults = [Fault(at=chance.uniform(0.05, 0.6), action="kill in DATA", victim="worker", choice=0)]
    for _ in range(count - 1):
        action = chance.choices(get_args(Action), (40, 10, 5, 25, 5, 15))[0]
        names = list(WORDS) if action == "stop" else [*WORDS, PARENT]
        victim = "sink" if action in ("die", "misbehave") else chance.choice(names)
        if action == "kill in DATA":
            victim = chance.choice(["worker", "nats-server", PARENT])
        longer = long_stops and victim == "worker" and chance.random() < 0.25
        faults.append(
            Fault(
                at=chance.uniform(0.01, 0.95),
                action=action,
                victim=victim,
                choice=chance.randrange(1000),
                seconds=(LONG_STOP if longer else STOP) if action == "stop" else chance.uniform(0, 1.5),
            )
        )
    return sorted(faults, key=lambda fault: fault.at)


@dataclass
class Injector:
    """Causes the faults of a plan in a running world."""

    world: World
    happened: list[Happened] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self, faults: list[Fault], progress: Callable[[], float]) -> None:
        """Cause each when its part of the round is done, whatever of the others is still going on."""
        for fault in faults:
            while progress() < fault.at:
                await asyncio.sleep(0.01)
            self._tasks.append(asyncio.create_task(self._cause(fault), name=str(fault)))
        await asyncio.gather(*self._tasks)

    async def _cause(self, fault: Fault) -> None:
        match fault.action:
            case "kill":
                await self._kill(fault)
            case "kill twice":  # the second while it starts: migrations, consumers, leases
                await self._kill(fault)
                await asyncio.sleep(fault.seconds)
                await self._kill(fault)
            case "kill in DATA":
                await self._kill_in_data(fault)
            case "stop":
                await self._stop(fault)
            case "die":
                await self._sink_dies(fault)
            case "misbehave":
                self._misbehave(fault)

    async def _kill(self, fault: Fault, *, in_data: bool = False) -> None:
        """Kill a process and wait until it runs again; who writes events, during an insert if there is one."""
        victim = await find(self.world, fault.victim, fault.choice)
        if victim.name in ("recorder", "ClickHouse"):
            # there may be nothing to insert, or nobody who could
            with contextlib.suppress(TimeoutError, UnavailableError, BrokerFailure, nats.errors.Error):
                await asyncio.wait_for(self._insert_begins(), 3)
                await asyncio.sleep(fault.seconds * INSERT)
        before, since = set(pids(self.world, victim.name)), now()
        if victim.pid not in before or not victim.signal(signal.SIGKILL):
            victim.close()
            return  # another fault was quicker, such as the death of its parent
        happened = self._note(Happened(what="kill", victim=victim.name, since=since, in_data=in_data))
        await self._until_again(victim, before)
        happened.until = now()

    async def _insert_begins(self) -> None:
        """Until the recorder has written what it is about to insert."""
        begun = asyncio.Event()

        async def on_intent(_: Msg) -> None:
            begun.set()

        async with broker(self.world) as connection:
            await connection.subscribe("$KV.intents.recorder", on_intent)
            await begun.wait()

    async def _until_again(self, victim: Victim, before: set[int]) -> None:
        try:
            await until(lambda: set(pids(self.world, victim.name)) - before, RESTART)
            if victim.name in (PARENT, "nats-server"):
                await self._broker_answers()
        finally:
            victim.close()

    async def _broker_answers(self) -> None:
        """The broker of the running instance takes connections."""

        async def answers() -> bool:
            try:
                address = self.world.instance["nats_url"].removeprefix("nats://").split(":")
                _, writer = await asyncio.open_connection(address[0], int(address[1]))
            except (OSError, ValueError):
                return False
            writer.close()
            return True

        await until(answers, RESTART)

    async def _kill_in_data(self, fault: Fault) -> None:
        """Wait until a sink has a whole message and has not answered it; half of the time it keeps it."""
        release = asyncio.Event()
        phase: Phase = "taken" if fault.choice % 2 else "dot"
        rules = [Rule(phase=phase, wait=release, times=1) for _ in self.world.sinks]
        for sink, rule in zip(self.world.sinks, rules, strict=True):
            sink.rules.insert(0, rule)
        try:
            await until(lambda: any(rule.used for rule in rules), RESTART)
            await self._kill(fault, in_data=True)
        finally:
            release.set()
            for sink, rule in zip(self.world.sinks, rules, strict=True):
                sink.rules.remove(rule)

    async def _stop(self, fault: Fault) -> None:
        victim = await find(self.world, fault.victim, fault.choice)
        happened = self._note(Happened(what="stop", victim=victim.name, since=now(), seconds=fault.seconds))
        victim.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            victim.signal(signal.SIGCONT)
            victim.close()
        happened.until = now()

    async def _sink_dies(self, fault: Fault) -> None:
        sink = self.world.sinks[fault.choice % len(self.world.sinks)]
        if not sink.port:
            return  # dead already
        host, port = sink.host, sink.port
        happened = self._note(Happened(what="die", victim=sink.hostname, since=now(), sink=sink))
        await sink.stop()
        await asyncio.sleep(AWAY)
        await sink.start(host, port)
        happened.until = now()

    def _misbehave(self, fault: Fault) -> None:
        """At one stage of the dialogue: no word, a closed connection, a 4xx, or no SMTP; a few times."""
        chance = random.Random(fault.choice)
        sink = self.world.sinks[fault.choice % len(self.world.sinks)]
        phase = chance.choice(PHASES)
        do = chance.choice(["hang", "drop", "reply", "garbage"])
        reply = "451 4.3.0 Not now" if do == "reply" else ""
        print(f"  {sink.hostname}: {phase} {do}")
        sink.rules.insert(0, Rule(phase=phase, do=do, reply=reply, times=chance.randint(1, 10)))

    def _note(self, happened: Happened) -> Happened:
        print(f"  {happened}")
        self.happened.append(happened)
        return happened
