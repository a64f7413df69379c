from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound.failure import DeliveryFailure
from outbound.routing import Target
from outbound.sources import Sources

IPV4, IPV6 = Target("mx", "192.0.2.1", 25), Target("mx", "2001:db8::1", 25)


def test_without_addresses_the_system_chooses() -> None:
    sources = Sources()
    assert sources.reach([IPV6, IPV4]) == [IPV6, IPV4]
    assert sources.next(IPV4) == sources.next(IPV6) == ""


@given(st.integers(1, 5), st.integers(0, 3))
def test_each_address_has_its_turn(addresses: int, rounds: int) -> None:
    own = [f"127.0.0.{number}" for number in range(1, addresses + 1)]
    sources = Sources([*own, "::1"])
    seen = Counter(sources.next(IPV4) for _ in range(addresses * rounds))
    assert seen == (dict.fromkeys(own, rounds) if rounds else {})
    assert sources.next(IPV6) == "::1"


def test_targets_of_a_family_without_source_are_left_out() -> None:
    assert Sources(["127.0.0.2"]).reach([IPV6, IPV4, IPV6]) == [IPV4]
    assert Sources(["127.0.0.2", "::1"]).reach([IPV6, IPV4]) == [IPV6, IPV4]
    with pytest.raises(DeliveryFailure) as caught:
        Sources(["127.0.0.2"]).reach([IPV6])
    assert "no IPv6 address in source_addresses: mx[2001:db8::1]:25" in str(caught.value)


def test_addresses_of_other_machines_have_no_turn_as_long_as_there_is_another() -> None:
    sources = Sources(["203.0.113.1", "127.0.0.1", "203.0.113.2"])
    assert {sources.next(IPV4) for _ in range(6)} == {"127.0.0.1"}
    sources = Sources(["203.0.113.1", "203.0.113.2"])
    assert {sources.next(IPV4) for _ in range(6)} == {"203.0.113.1", "203.0.113.2"}
