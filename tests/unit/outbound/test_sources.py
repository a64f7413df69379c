import pytest

from outbound.failure import DeliveryFailure
from outbound.routing import Target
from outbound.sources import reach

V4, V6 = Target("mx.test", "192.0.2.1", 25), Target("mx.test", "2001:db8::1", 25)


def test_no_source_reaches_everything() -> None:
    assert reach([V6, V4], "") == [V6, V4]


def test_a_source_reaches_its_family() -> None:
    assert reach([V6, V4], "192.0.2.9") == [V4]
    assert reach([V6, V4], "2001:db8::9") == [V6]


def test_mail_does_not_leave_from_another_address() -> None:
    with pytest.raises(DeliveryFailure) as caught:
        reach([V6], "192.0.2.9")
    assert "only IPv6 addresses, and the pool has no IPv6 address in source_addresses: mx.test[" in caught.value.text
    assert not caught.value.permanent
