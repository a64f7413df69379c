"""What happened, read back and told."""

import io
import json

import pytest
from clickhouse_support import columns
from rich.console import Console, RenderableType

from common.errors import UsageError
from common.event import Event, Status, Type, pack, unpack
from common.ids import new_id, report_id
from events import story
from events.store import Store

NOW = 1_790_000_000.5
ID, OTHER = new_id(NOW), new_id(NOW + 50)
SENDER, FIRST, SECOND = "News@Sender.example", "Ann@one.example", "bob@two.example"
MANY = tuple(f"r{i}" for i in range(7))
MX = {"mx_host": "mx1.one.example", "mx_address": "192.0.2.7", "tls_version": "TLSv1.3"}


def about(type: Type, seconds: float, number: int = 0, submission: str = ID, **values: object) -> Event:
    recipient = ("", FIRST, SECOND)[number]
    more = {"delivery": f"{submission}-{number}", "recipient": recipient} if number else {}
    return Event(time=NOW + seconds, type=type, submission=submission, pool="default", sender=SENDER,
                 tags=("spring",), campaign="spring", **(more | values))  # type: ignore[arg-type]  # fmt: skip


EVENTS = [
    about(Type.ACCEPTED, 0, recipients=(FIRST, SECOND), client_address="192.0.2.1", interface="relay", size=12_300,
          message_id="<1@sender.example>"),
    about(Type.DEFERRED, 1, 1, attempt=1, status=Status.DEFERRED, code=451, enhanced_code="4.7.1", time_connect=0.2,
          text="4.7.1 Greylisted\x1b[2J", reason="greylisted", phase="rcpt", next_attempt=NOW + 301, **MX),
    about(Type.BOUNCED, 2, 2, attempt=1, status=Status.UNDELIVERABLE, code=550, enhanced_code="5.1.1", text="no Bob",
          bounce_class="invalid-recipient", bounce_type="hard"),
    about(Type.DELIVERED, 301, 1, attempt=2, status=Status.DELIVERED, code=250, enhanced_code="2.0.0", text="Ok",
          time_connect=0.125, time_transfer=0.125, signatures=("sender.example:s1:rsa-sha256",), **MX),
    about(Type.DELIVERED, 60, 2, OTHER, attempt=1),
    Event(time=NOW + 3, type=Type.REJECTED, client_address="192.0.2.66", interface="relay", code=554,
          text="5.7.1 relay access denied", count=40),
]  # fmt: skip


@pytest.fixture
def told(store: Store) -> Store:
    """A store with EVENTS, three rows to a message of the stream."""
    add(store, EVENTS, 1)
    return store


def add(store: Store, events: list[Event], first: int) -> None:
    rows = unpack(pack(events))
    places = [{"stream_sequence": first + i // 3, "row_number": i % 3} for i in range(len(rows))]
    placed = [row | place for row, place in zip(rows, places, strict=True)]
    store.insert("events", columns(placed), f"token.{first}")


def shown(what: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_trace_of_a_submission(told: Store) -> None:
    assert story.trace(told, ID) == [EVENTS[i] for i in (0, 1, 2, 3)]


def test_trace_of_a_delivery_begins_with_its_acceptance(told: Store) -> None:
    assert story.trace(told, f"{ID}-1") == [EVENTS[i] for i in (0, 1, 3)]


@pytest.mark.parametrize("at_once", [1, 1000])
def test_delays_and_what_was_passed_on_are_traced_with_their_reports(
    told: Store, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "_REPORTS", at_once)
    delivery = f"{ID}-1"
    reported = [
        Event(time=NOW + 9, type=Type.ACCEPTED, submission=report_id(delivery, kind), recipients=(SENDER,),
              interface="report", meta={"report_of": delivery})
        for kind in ("", "delay", "deliver-by")
    ]  # fmt: skip
    add(told, reported, 9)
    traced = story.trace(told, delivery)
    assert {event.submission for event in traced[3:]} == {event.submission for event in reported}
    assert len(traced) == 6


def test_what_failed_is_traced_with_the_report_on_it(told: Store) -> None:
    about = f"{ID}-2"
    report = report_id(about)
    reported = [
        Event(time=NOW + 3, type=Type.ACCEPTED, submission=report, recipients=(SENDER,), interface="report",
              meta={"report_of": about}),
        Event(time=NOW + 4, type=Type.DELIVERED, submission=report, delivery=f"{report}-1", recipient=SENDER, attempt=1,
              meta={"report_of": about}, status=Status.DELIVERED),
    ]  # fmt: skip
    add(told, reported, 9)
    assert story.trace(told, about) == [EVENTS[0], EVENTS[2], *reported]
    assert story.trace(told, ID) == [*EVENTS[:4], *reported]
    assert story.trace(told, "bob@two.example")[-2:] == reported
    assert story.trace(told, f"{ID}-1") == [EVENTS[i] for i in (0, 1, 3)]
    assert story.trace(told, report) == reported
    assert [event for event in story.trace(told, SENDER) if event in reported] == reported  # not twice
    lines = shown(story.timeline(story.trace(told, about))).splitlines()
    assert lines[4] == f"{report}  from <>, report on {about}"
    assert lines[5].endswith(f"accepted on report for {SENDER}")


def test_trace_of_addresses_in_any_case(told: Store) -> None:
    assert story.trace(told, "<ann@ONE.example>") == [EVENTS[i] for i in (0, 1, 3)]
    assert story.trace(told, "BOB@two.example") == [EVENTS[i] for i in (0, 2, 4)]
    assert story.trace(told, SENDER.lower()) == [EVENTS[i] for i in (0, 1, 2, 4, 3)]


def test_trace_of_more_than_asked_for_gives_the_newest(told: Store) -> None:
    assert story.trace(told, SENDER, limit=2) == [EVENTS[4], EVENTS[3]]


@pytest.mark.parametrize("what", ["", "nonsense", ID[:-1], f"{ID}-"], ids=["empty", "word", "short", "long"])
def test_trace_of_nonsense(store: Store, what: str) -> None:
    with pytest.raises(UsageError):
        story.trace(store, what)


def test_looking_up_an_address_skips_what_cannot_hold_it(told: Store) -> None:
    nobody = {"addresses": ["x@y.example", "hashed:0"]}
    plan = told.query("EXPLAIN indexes = 1 " + story._SELECT + story.ADDRESS, nobody)
    assert any("Granules: 0/1" in row["explain"] for row in plan)


def test_recent_and_what_comes_after(told: Store) -> None:
    events, after = story.recent(told, limit=3)
    assert (events, after) == ([EVENTS[i] for i in (3, 4, 5)], (2, 2))
    assert story.recent(told, after=after) == ([], after)
    late = [about(Type.HELD, -1000, 1, reason=str(i)) for i in range(5)]  # recorded later, happened before
    add(told, late, 3)
    events, after = story.recent(told, after=after, limit=2)
    assert (events, after) == (late[:2], (3, 1))
    events, after = story.recent(told, after=after, limit=2)
    assert (events, after) == (late[2:4], (4, 0))
    assert story.recent(told, after=after) == (late[4:], (4, 1))


def test_recent_of_an_empty_table(store: Store) -> None:
    assert story.recent(store) == ([], (0, 0))


def test_recent_since_and_where(told: Store) -> None:
    assert story.recent(told, since=NOW + 60)[0] == [EVENTS[3], EVENTS[4]]
    assert story.recent(told, where={"type": "bounced", "tag": "spring"})[0] == [EVENTS[2]]
    assert story.recent(told, where={"recipient": "x' OR '1'='1"})[0] == []
    with pytest.raises(UsageError, match="'size'"):
        story.recent(told, where={"size": "1"})


def test_json() -> None:
    values = json.loads(story.to_json(EVENTS[1]))
    assert values["time"] == "2026-09-21T14:13:21.500Z"
    assert values["next_attempt"] == "2026-09-21T14:18:21.500Z"
    assert values["tags"] == ["spring"]
    assert json.loads(story.to_json(EVENTS[0]))["next_attempt"] is None
    assert "\n" not in story.to_json(about(Type.HELD, 0, 1, text="a\nb"))


def test_timeline() -> None:
    assert shown(story.timeline(EVENTS[:4])).splitlines() == [
        f"{ID}  from <News@Sender.example>, 12.3 kB, <1@sender.example>, campaign spring",
        "  2026-09-21T14:13:20.500Z  accepted from 192.0.2.1 on relay for Ann@one.example, bob@two.example",
        "  2026-09-21T14:13:21.500Z  attempt 1 deferred to Ann@one.example: 451 4.7.1 Greylisted\ufffd[2J"
        " (greylisted, at rcpt), by mx1.one.example [192.0.2.7], TLSv1.3, in 0.2s,"
        " next try 2026-09-21T14:18:21.500Z",
        "  2026-09-21T14:13:22.500Z  attempt 1 bounced to bob@two.example: 550 5.1.1 no Bob,"
        " hard bounce: invalid-recipient",
        "  2026-09-21T14:18:21.500Z  attempt 2 delivered to Ann@one.example: 250 2.0.0 Ok,"
        " by mx1.one.example [192.0.2.7], TLSv1.3, in 0.25s, signed by sender.example (s1)",
    ]


def test_what_is_sent_later_says_when() -> None:
    told = shown(story.line(about(Type.ACCEPTED, 0, recipients=(FIRST,), next_attempt=NOW + 301)))
    assert told.endswith(f"for {FIRST}, to be sent 2026-09-21T14:18:21.500Z\n")


def test_timeline_of_several_submissions() -> None:
    headings = [text for text in shown(story.timeline(EVENTS)).splitlines() if text and text[0] != " "]
    assert [text.split("  ")[0] for text in headings] == [ID, OTHER, "no submission"]
    assert headings[-1] == "no submission"  # what follows is of several senders


def test_what_came_back_says_how_it_was_found_and_who_brought_it() -> None:
    came = about(Type.COMPLAINT, 0, 1, reason="abuse", phase="token", text="X/1", mx_address="192.0.2.9")
    assert f"{FIRST}: X/1 (abuse, found by token), by [192.0.2.9]\n" in shown(story.line(came))
    clicked = about(Type.UNSUBSCRIBED, 0, 1, reason="one-click", text="one-click")
    assert shown(story.line(clicked)).endswith(f"{FIRST}: one-click\n")


def test_a_suppression_says_of_whom_and_for_whose_mail() -> None:
    values = {"time": NOW, "type": Type.ADMIN, "reason": "suppression", "recipient": FIRST}
    said = "suppressed by hand (suppression)"
    for sender, whose in (("@s.example", "@s.example"), ("", "everybody")):
        event = Event(sender=sender, text="suppressed by hand", **values)  # type: ignore[arg-type]
        assert shown(story.line(event)).endswith(f"  admin  {FIRST}, mail of {whose}: {said}\n")
        assert shown(story.timeline([event])).endswith(f"  admin {FIRST}, mail of {whose}: {said}\n")


def test_line() -> None:
    assert shown(story.line(EVENTS[5])) == (
        "2026-09-21T14:13:23.500Z  rejected  from 192.0.2.66 on relay 40 times, 554 5.7.1 relay access denied\n"
    )
    assert "for r0, r1, r2, r3, r4 and 2 more" in shown(story.line(about(Type.ACCEPTED, 0, recipients=MANY)))
    said = "550 5.1.1 no Bob, hard bounce: invalid-recipient"
    assert f"bounced  {ID}-2  <{SENDER}> → {SECOND}: {said}" in shown(story.line(EVENTS[2]))
