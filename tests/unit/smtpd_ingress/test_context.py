import pytest

from smtpd_ingress.context import client_address


@pytest.mark.parametrize(
    ("peername", "address"),
    [
        (("192.0.2.1", 25), "192.0.2.1"),
        (("::ffff:192.0.2.1", 25, 0, 0), "192.0.2.1"),
        (("2001:DB8:0::1", 25, 0, 0), "2001:db8::1"),
        (("fe80::1%eth0", 25, 0, 2), "fe80::1"),
    ],
)
def test_client_address(peername: tuple[str, int], address: str) -> None:
    assert client_address(peername) == address
