"""The PROXY header, whole, in pieces and bad."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd_ingress.proxy import V2, BadProxyError, Proxied, parse

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6).filter(lambda address: not address.ipv4_mapped)
PORT = st.integers(0, 65535)


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, str | None]:
    """A header and the client it names."""
    family, addresses = draw(st.sampled_from([(4, V4), (6, V6)]))
    source, destination, ports = draw(addresses), draw(addresses), (draw(PORT), draw(PORT))
    kind = draw(st.sampled_from(["v1", "v1 unknown", "v2", "v2 local", "v2 unknown"]))
    if kind == "v1":
        return f"PROXY TCP{family} {source} {destination} {ports[0]} {ports[1]}\r\n".encode(), str(source)
    if kind == "v1 unknown":
        return draw(st.sampled_from([b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ? 0 0\r\n"])), None
    body = source.packed + destination.packed + struct.pack("!HH", *ports) + draw(st.binary(max_size=200))
    command = 0x20 if kind == "v2 local" else 0x21
    known = {4: 0x11, 6: 0x21}[family]
    family = known if kind == "v2" else draw(st.sampled_from([0x00, 0x12, 0x31, known if command == 0x20 else 0x22]))
    return V2 + struct.pack("!BBH", command, family, len(body)) + body, str(source) if kind == "v2" else None


@given(headers(), st.binary(max_size=50))
def test_the_client_and_where_it_begins(header: tuple[bytes, str | None], rest: bytes) -> None:
    data, client = header
    assert parse(data + rest) == Proxied(client, len(data))


@given(headers(), st.data())
def test_part_of_a_header_is_waited_for(header: tuple[bytes, str | None], data: st.DataObject) -> None:
    whole, _ = header
    assert parse(whole[: data.draw(st.integers(1, len(whole) - 1))]) is None


BEGUN = st.builds(lambda begin, rest: begin + rest, st.sampled_from([V2, b"PROXY "]), st.binary())


@given(st.binary(min_size=1, max_size=300) | BEGUN)
def test_any_bytes_are_a_header_or_none_or_wait(data: bytes) -> None:
    try:
        found = parse(data)
    except BadProxyError:
        return
    if found is None:  # then not for ever
        assert len(data) < 5000
    else:
        assert found.length <= len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO c.example\r\n",
        b"\r\nQUIT",
        b"PROXY TCP4 1.2.3.4 1.2.3.5 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.5 1 2 3\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.5 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.5 +1 2\r\n",
        b"PROXY TCP4 1.2.3.4  1 2\r\n",
        b"PROXY TCP4 1.2.3 1.2.3.5 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.5 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 1.2.3.5 1 2\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.5 1 2\n" + 100 * b"x",
        b"PROXY UNKNOWN " + 100 * b"x" + b"\r\n",
        V2 + b"\x11\x11\x00\x0c" + bytes(12),
        V2 + b"\x22\x11\x00\x0c" + bytes(12),
        V2 + b"\x21\x11\x00\x0b" + bytes(11),
        V2 + b"\x21\x21\x00\x0c" + bytes(12),
        V2 + b"\x21\x11\xff\xff",
    ],
)
def test_bad_ones(data: bytes) -> None:
    with pytest.raises(BadProxyError):
        parse(data)


def test_an_address_as_for_clients_that_connect_themselves() -> None:
    assert parse(b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n") == Proxied("192.0.2.7", 37)
    assert parse(b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n") == Proxied("fe80::1", 33)
