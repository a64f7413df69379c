"""What a person writes of mail becomes what entries have; what is wrong is named with the remedy."""

import pytest

from common.config import Config
from common.controls.control import Match
from common.errors import UsageError
from master.control_match import make_match

NOTHING = {"id_": "", "campaign": "", "tag": "", "sender": "", "domain": "", "pool": "", "header": ""}


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"campaign": "Spring"}, Match(campaign="Spring")),
        ({"sender": "News@Sender.Example"}, Match(sender="news@sender.example")),
        ({"sender": "@Sender.Example"}, Match(sender="@sender.example")),
        ({"domain": "Bücher.example"}, Match(domain="xn--bcher-kva.example")),
        ({"header": "List-ID= <a.example> "}, Match(header="list-id: <a.example>")),
        ({"tag": "a", "pool": "default"}, Match(tag="a", pool="default")),
        ({"id_": "01k80104jjg883qldg58-2"}, Match(id="01k80104jjg883qldg58-2")),
    ],
)
def test_what_is_meant(given: dict[str, str], match: Match) -> None:
    assert make_match(Config(), **NOTHING | given) == match


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "--campaign"),
        ({"id_": "x"}, "01k80104jjg883qldg58"),
        ({"sender": "example.com"}, "@example.com"),
        ({"domain": "a b"}, "--domain a b"),
        ({"pool": "bulk"}, "there are default"),
        ({"header": "List-ID"}, "NAME=VALUE"),
        ({"header": "Subject=x"}, r"add it to \[controls\] headers"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_match(Config(), **NOTHING | given)
