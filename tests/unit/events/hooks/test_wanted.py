"""Which endpoints want an event."""

from typing import Any

import pytest
from hooks_support import endpoint

from common.event import Type
from events.hooks.wanted import OF_MAIL, types, wants

ROW = {
    "type": "bounced", "pool": "bulk", "campaign": "sale", "tags": ["sale", "spring"], "sender": "News@A.example",
    "recipient": "r@b.example", "domain": "b.example",
}  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, True),
        ({"types": ["bounced"]}, True),
        ({"types": ["delivered"]}, False),
        ({"pool": ["default", "bulk"]}, True),
        ({"pool": ["default"]}, False),
        ({"campaign": ["sale"]}, True),
        ({"campaign": ["spring"]}, False),
        ({"tag": ["spring"]}, True),
        ({"tag": ["autumn"]}, False),
        ({"sender": ["news@a.example"]}, True),
        ({"sender": ["@A.example"]}, True),
        ({"sender": ["@example"]}, False),
        ({"domain": ["B.example"]}, True),
        ({"domain": ["c.example"]}, False),
        ({"pool": ["bulk"], "domain": ["c.example"]}, False),
        ({"only_named": True}, False),
    ],
)
def test_filters(filters: dict[str, Any], wanted: bool) -> None:
    assert wants(endpoint(**filters), ROW) == wanted


@pytest.mark.parametrize(("named", "wanted"), [("crm", True), ("other", False)])
@pytest.mark.parametrize("filters", [{"only_named": True}, {"domain": ["c.example"]}])
def test_named_by_the_mail(filters: dict[str, Any], named: str, wanted: bool) -> None:
    assert wants(endpoint(**filters), ROW | {"webhook": named}) == wanted


def test_named_but_not_of_this_type() -> None:
    assert not wants(endpoint(types=["delivered"]), ROW | {"webhook": "crm"})


def test_what_is_of_no_mail_must_be_asked_for() -> None:
    for type_ in (Type.ADMIN, Type.REJECTED):
        assert not wants(endpoint(), {"type": type_})
        assert wants(endpoint(types=[type_]), {"type": type_})


def test_one_recipient_of_an_accepted_mail_is_enough() -> None:
    row = {"type": "accepted", "recipients": ["a@a.example", "b@b.example"]}
    assert wants(endpoint(domain=["b.example"]), row)
    assert not wants(endpoint(domain=["c.example"]), row)


def test_all_types_together() -> None:
    assert types([]) == frozenset()
    assert types([endpoint(types=["admin"]), endpoint(types=["bounced"])]) == {"admin", "bounced"}
    assert types([endpoint()]) == OF_MAIL
