"""Why a delivery may have arrived twice; what has no cause here is a failure."""

from dataclasses import dataclass

from campaign.faults import Happened
from campaign.processes import PARENT
from common.queue.streams import LEASE
from master.demo.sink import Sink
from master.demo.sink_mail import Mail

#: Seconds between a sink's taking and the end of the delivery, with all processes at work on a busy machine; and
#: between the worker's sending and the sink's taking.
FINISHING, READING = 3.0, 2.0
#: Who forgets or loses what is in flight when it is killed.
IN_FLIGHT = ("worker", "nats-server", PARENT)


@dataclass(frozen=True)
class Copy:
    """One arrival of a delivery."""

    sink: Sink
    mail: Mail


def cause(copy: Copy, next_: Copy, happened: list[Happened]) -> str:
    """What made ``next_`` come after ``copy``; ``""`` when nothing did that may."""
    if not copy.mail.told:
        return "the sink took it and did not say so"
    begin, end = _begin(copy, happened), _end(copy, happened)
    hits = [one for one in happened if begin <= one.until and one.since <= min(end, next_.mail.time)]
    for one in sorted(hits, key=lambda one: abs(one.since - copy.mail.time)):
        if one.sink is copy.sink and one.what == "die" and one.since >= begin:
            return "the sink died"
        if one.what == "kill" and one.victim in IN_FLIGHT and one.since >= begin:
            return str(one)
        if one.what == "stop" and one.victim == "worker" and one.seconds > LEASE:
            return "stop worker beyond its lease"
    return ""


def _begin(copy: Copy, happened: list[Happened]) -> float:
    """When the worker had it in hand at the latest: one that was stopped got what it sends now before that."""
    begin = copy.mail.time - READING
    for one in happened:
        if one.what == "stop" and one.victim == "worker" and one.since <= copy.mail.time <= one.until + FINISHING:
            begin = min(begin, one.since)
    return begin


def _end(copy: Copy, happened: list[Happened]) -> float:
    """When the delivery had ended at the latest: who is stopped or away while it ends takes longer."""
    end = copy.mail.time + FINISHING
    for one in sorted(happened, key=lambda one: one.since):
        if one.victim in IN_FLIGHT and copy.mail.time - READING <= one.until and one.since <= end:
            end = max(end, one.until + FINISHING)
    return end
