"""What an endpoint is sent."""

import json
from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from common.event import Event, Status, Type, pack, unpack
from events.hooks.payload import LIMIT, NAMES, identifier, payload


def row_of(event: Event) -> dict[str, object]:
    """As it lies in EVENTS."""
    [row] = unpack(pack([event]))
    return row


def test_a_bounce() -> None:
    event = Event(
        time=1_800_000_000.25, type=Type.BOUNCED, id="01k", submission="s", delivery="s-1", attempt=2,
        sender="a@a.test", recipient="b@b.test", domain="b.test", tags=("sale", "x"), campaign="sale",
        meta={"shop": "7"}, status=Status.UNDELIVERABLE, reason="refused", phase="rcpt", code=550,
        enhanced_code="5.1.1", text="no such user", bounce_class="invalid-recipient", bounce_type="hard",
        mx_host="mx.b.test",
    )  # fmt: skip
    assert json.loads(payload(row_of(event))) == {
        "type": "message.bounced",
        "timestamp": "2027-01-15T08:00:00.250Z",
        "data": {
            "id": "01k", "time": "2027-01-15T08:00:00.250Z", "submission": "s", "delivery": "s-1", "attempt": 2,
            "sender": "a@a.test", "recipient": "b@b.test", "domain": "b.test", "campaign": "sale",
            "tags": ["sale", "x"], "meta": {"shop": "7"}, "status": "undeliverable", "reason": "refused",
            "bounce_class": "invalid-recipient", "bounce_type": "hard", "mx_host": "mx.b.test",
            "response": {"code": 550, "enhanced": "5.1.1", "text": "no such user", "phase": "rcpt"},
        },
    }  # fmt: skip


def test_when_it_is_tried_again() -> None:
    event = Event(time=1.0, type=Type.DEFERRED, next_attempt=61.5)
    assert json.loads(payload(row_of(event)))["data"]["next_attempt"] == "1970-01-01T00:01:01.500Z"


def test_every_type_has_a_name_of_letters_and_dots() -> None:
    assert NAMES.keys() == set(Type)
    assert all(name.replace(".", "").replace("_", "").isalnum() for name in NAMES.values())


def test_an_id_has_no_full_stop() -> None:
    assert identifier({"id": "default.01k-1.7"}) == "default_01k-1_7"


def test_many_recipients_are_cut() -> None:
    event = Event(time=1.0, type=Type.ACCEPTED, recipients=tuple(f"{'r' * 60}{i}@example.com" for i in range(1000)))
    made = payload(row_of(event))
    data = json.loads(made)["data"]
    assert len(made) <= LIMIT
    assert (data["shortened"], len(data["recipients"])) == (True, 100)


short = st.text(st.characters(codec="utf-8"), max_size=30)
texts = short | short.map(lambda text: text * 900)


@given(
    st.builds(
        Event, time=st.floats(0, 4e9), type=st.sampled_from(Type), id=texts, sender=texts, recipient=texts,
        recipients=st.lists(texts, max_size=5).map(lambda some: tuple(some * 300)), domain=texts, campaign=texts,
        tags=st.lists(texts, max_size=20).map(tuple), meta=st.dictionaries(texts, texts, max_size=30), text=texts,
        reason=texts, message_id=texts, mx_host=texts, code=st.integers(0, 999), next_attempt=st.floats(0, 4e9),
    )
)  # fmt: skip
def test_never_above_the_limit_and_always_json(event: Event) -> None:
    row = row_of(event)
    made = payload(row)
    assert len(made) <= LIMIT
    assert json.loads(made)["type"] == NAMES[event.type]
    assert payload(row) == made
    assert asdict(event)["code"] == json.loads(made)["data"].get("response", {}).get("code", 0)
