"""The campaign's checker sees what it is there to see."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from campaign.check import Checker, Sent
from campaign.faults import Happened

from master.demo.generator import Outcome, Reply
from master.demo.sink import Sink
from master.demo.sink_mail import Mail

CONTENT = b"Message-ID: <1@x.test>\r\n\r\nhello\r\n"
RECEIVED = b"Received: from x by y\r\n\twith ESMTP id s1\r\n" + CONTENT
KILL = Happened(what="kill", victim="worker", since=1000.5, until=1001.5)
STOP = replace(KILL, what="stop", seconds=5)


@pytest.fixture
def sink() -> Sink:
    return Sink(hostname="mx.test")


def taken(**changes: Any) -> Mail:
    values: dict[str, Any] = {
        "sender": "s@x.test", "parameters": (), "recipients": ("r@y.test",), "content": RECEIVED, "ehlo": "h",
        "tls": "", "peer": "127.0.0.1", "connection": 1, "time": 1000.0, "told": True, "commands": (),
    }  # fmt: skip
    return Mail(**(values | changes))


def row(number: int, type_: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"e{number}", "type": type_, "stream_sequence": number, "row_number": 0, "submission": "s1",
        "delivery": "" if type_ == "accepted" else "s1-1", "recipient": "" if type_ == "accepted" else "r@y.test",
        "recipients": ["r@y.test"] if type_ == "accepted" else [], "time": 1000, "attempt": 1, "worker": "w",
        "text": "", "mx_host": "",
    } | changes  # fmt: skip


def checker(sink: Sink, *happened: Happened, failed: tuple[Reply, ...] = ()) -> Checker:
    outcome = Outcome(0, 250, "Ok: queued as s1", 0.1, failed, ())
    sent = Sent(("s@x.test", ["r@y.test"], CONTENT), outcome)
    sink.received = [taken()]
    return Checker([sent], [sink], list(happened), [row(1, "accepted"), row(2, "delivered")])


def test_all_is_well(sink: Sink) -> None:
    one = checker(sink)
    one.check()
    assert not +one.counts


def arrives_again(one: Checker, **changes: Any) -> None:
    one.sinks[0].received.append(taken(time=1002.0, **changes))


WRONG: dict[str, Callable[[Checker], Any]] = {
    "did not arrive": lambda one: one.sinks[0].received.clear(),
    "arrived changed": lambda one: one.sinks[0].received.__setitem__(0, taken(content=RECEIVED + b"more\r\n")),
    "was never sent": lambda one: arrives_again(one, content=RECEIVED.replace(b"1@x", b"2@x")),
    "arrived again without a cause": arrives_again,
    "also taken as": lambda one: arrives_again(one, content=RECEIVED.replace(b"s1", b"s2")),
    "ended as": lambda one: one.rows.append(row(3, "delivered")),
    "ended as []": lambda one: one.rows.pop(),
    "was held": lambda one: one.rows.append(row(3, "held")),
    "is there 2 times": lambda one: one.rows.append(row(3, "deferred", id="e2")),
    "row (2, 0) is there 2 times": lambda one: one.rows.append(row(2, "deferred", id="e3")),
    "answered 250 and no row": lambda one: one.rows.pop(0),
    "accepted for": lambda one: one.rows.append(row(3, "accepted", submission="s9")),
    "left in": lambda one: one.failures.append("left in EVENTS: e.default"),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_is_wrong_is_named(sink: Sink, said: str) -> None:
    one = checker(sink)
    WRONG[said](one)
    with pytest.raises(AssertionError) as error:
        one.check()
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("happened", "cause"),
    [
        (KILL, "kill worker"),
        (replace(KILL, victim="nats-server"), "kill nats-server"),
        (replace(STOP, seconds=12), "stop worker beyond its lease"),
        (STOP, ""),
        (replace(KILL, victim="recorder"), ""),
        (replace(KILL, since=1100.0, until=1101.0), ""),
        (replace(KILL, since=900.0, until=901.0), ""),
    ],
)
def test_a_copy_too_many_needs_a_cause(sink: Sink, happened: Happened, cause: str) -> None:
    one = checker(sink, happened)
    arrives_again(one)
    if cause:
        one.check()
        assert +one.counts == {cause: 1}
    else:
        with pytest.raises(AssertionError, match="without a cause"):
            one.check()


@pytest.mark.parametrize("stopped", [True, False])
def test_who_was_stopped_when_its_broker_died_sends_what_others_were_handed(sink: Sink, stopped: bool) -> None:
    earlier = replace(KILL, victim="nats-server", since=995.0, until=995.2)
    one = checker(sink, earlier, *([replace(STOP, since=994.5, until=999.5)] if stopped else []))
    arrives_again(one)
    if stopped:
        one.check()
        assert +one.counts == {"kill nats-server": 1}
    else:
        with pytest.raises(AssertionError, match="without a cause"):
            one.check()


@pytest.mark.parametrize(("reply", "good"), [(Reply(0, ""), True), (Reply(452, "4.3.1 full"), False)])
def test_a_client_sends_again_what_it_does_not_know(sink: Sink, reply: Reply, good: bool) -> None:
    one = checker(sink, failed=(reply,))
    arrives_again(one, content=RECEIVED.replace(b"s1", b"s2"))
    one.rows.append(row(3, "delivered", submission="s2", delivery="s2-1"))
    if good:
        one.check()
        assert one.counts["without 250 and without accepted row"] == 1
    else:
        with pytest.raises(AssertionError, match="also taken as"):
            one.check()
