"""What leads to a suppression, for whose mail, for how long."""

import pytest

from common.event import Event, Type
from common.suppression.rules import Rules
from common.suppression.suppression import Source, Suppression

from .test_suppression import NOW

DAY = 86_400


def event(type_: Type = Type.BOUNCED, delivery: str = "01k804kgf54oikkgd218-1", **values: object) -> Event:
    base = {
        "time": NOW, "sender": "News@shop.example", "recipient": "Bob@x.example", "delivery": delivery,
        "bounce_type": "hard", "bounce_class": "invalid-recipient", "code": 550, "enhanced_code": "5.1.1",
        "text": "No such user",
    }  # fmt: skip
    return Event(type=type_, **(base | values))  # type: ignore[arg-type]


def test_a_hard_bounce() -> None:
    assert Rules().bounced(event()) == Suppression(
        recipient="bob@x.example", scope="@shop.example", source=Source.BOUNCE, since=NOW, until=NOW + 90 * DAY,
        reason="invalid-recipient: 550 5.1.1 No such user", by="01k804kgf54oikkgd218-1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("configured", "scope"),
    [("everybody", "*"), ("domain", "@shop.example"), ("sender", "news@shop.example"), ("off", None)],
)
def test_for_whom(configured: str, scope: str | None) -> None:
    rules = Rules.model_validate(
        dict.fromkeys(("hard_bounces", "complaints", "unsubscribes", "soft_bounces"), configured)
    )
    soft = event(bounce_type="soft", bounce_class="mailbox-full")
    for found in (
        rules.bounced(event()), rules.bounced(soft), rules.complained(event()), rules.unsubscribed(event())
    ):  # fmt: skip
        assert (found and found.scope) == scope


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": ""},
        {"recipient": ""},
        {"recipient": "b2f5ff47436671b6e533d8dc3614845d"},
        {"bounce_type": ""},
        {"bounce_type": "soft", "bounce_class": "reputation"},
        {"type_": Type.DEFERRED},
        {"type_": Type.SUPPRESSED},
    ],
)
def test_what_leads_to_nothing(changes: dict[str, object]) -> None:
    assert Rules().bounced(event(**changes)) is None  # type: ignore[arg-type]


def test_who_complains_or_unsubscribes_is_left_alone_for_ever() -> None:
    for found, source in (
        (Rules().complained(event()), Source.COMPLAINT), (Rules().unsubscribed(event()), Source.UNSUBSCRIBE)
    ):  # fmt: skip
        assert found
        assert (found.source, found.until) == (source, 0)


def test_the_null_sender_is_everybody() -> None:
    found = Rules().unsubscribed(event(sender=""))
    assert found
    assert found.scope == "*"


def counted(rules: Rules, times: list[float], deliveries: list[str] | None = None) -> Suppression:
    there = None
    for number, at in enumerate(times):
        name = deliveries[number] if deliveries else f"d-{number}"
        new = rules.bounced(event(time=at, delivery=name, bounce_type="soft", bounce_class="mailbox-full"))
        assert new
        there = rules.counted(there, new)
    assert there
    return there


def test_soft_bounces_are_counted() -> None:
    rules = Rules(soft_count=3, soft_within="10d", keep_soft="20d")  # type: ignore[arg-type]
    assert counted(rules, [NOW, NOW + DAY]).source is Source.COUNTED
    found = counted(rules, [NOW, NOW + DAY, NOW + 9 * DAY])
    assert (found.source, found.until) == (Source.SOFT_BOUNCES, NOW + 29 * DAY)
    assert found.reason == "3 mails given up, the last one: mailbox-full: 550 5.1.1 No such user"
    assert counted(rules, [NOW, NOW + DAY, NOW + 10 * DAY]).source is Source.COUNTED


def test_a_soft_bounce_is_counted_once() -> None:
    rules = Rules(soft_count=2)
    assert counted(rules, [NOW, NOW + 1], ["d-1", "d-1"]).source is Source.COUNTED
    assert counted(rules, [NOW, NOW + 1], ["d-1", "d-2"]).source is Source.SOFT_BOUNCES


def test_one_may_be_too_many() -> None:
    assert counted(Rules(soft_count=1), [NOW]).source is Source.SOFT_BOUNCES
