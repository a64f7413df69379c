import re
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.content import load
from common.options import NOTHING, When
from smtpd_ingress.headers import MAX_HEADER
from smtpd_ingress.message import MAX_HOPS, Message, Trace
from smtpd_ingress.options import HeaderOptions


def trace(recipient: str = "b@example.com", client_address: str = "192.0.2.1") -> Trace:
    return Trace(
        helo="client.example",
        client_address=client_address,
        hostname="mta1.example.net",
        protocol="ESMTP",
        submission="01abc",
        recipient=recipient,
        time=1_700_000_000.0,
    )


POOLS = ("default", "bulk")


def take(
    data: bytes, max_size: int = 10**6, size: int = 2**16, pools: Collection[str] = POOLS, **keys: str
) -> tuple[bytes, Message]:
    """The message as it is queued."""
    message = Message(trace(**keys), max_size, HeaderOptions(pools))
    for start in range(0, len(data), size):
        message.feed(data[start : start + size])
    stored = message.finish()
    return (b"" if message.refusal else load(stored)), message


COMPLETE = b"Message-ID: <1@example.org>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"


def test_received_comes_first() -> None:
    content, _ = take(COMPLETE + b"\r\nhello\r\n")
    received, rest = content.split(b"Message-ID", 1)
    assert re.fullmatch(
        rb"Received: from client\.example \(\[192\.0\.2\.1\]\)\r\n"
        rb"\tby mta1\.example\.net \(Postjet\) with ESMTP id 01abc\r\n"
        rb"\tfor <b@example\.com>;\r\n"
        rb"\t\w{3}, \d\d Nov 2023 \d\d:\d\d:\d\d [+-]\d{4}\r\n",
        received,
    )
    assert b"Message-ID" + rest == COMPLETE + b"\r\nhello\r\n"


def test_received_names_no_recipient_of_several() -> None:
    assert b"\tfor " not in take(COMPLETE, recipient="")[0]


def test_received_from_ipv6() -> None:
    assert b"([IPv6:2001:db8::1])" in take(COMPLETE, client_address="2001:db8::1")[0]


def test_what_is_missing_is_added_once() -> None:
    content, message = take(b"Subject: x\r\n\r\nhello\r\n")
    assert content.count(b"\r\nMessage-ID: <01abc@mta1.example.net>\r\n") == 1
    assert content.count(b"\r\nDate: ") == 1
    assert content.endswith(b"Subject: x\r\n\r\nhello\r\n")
    assert message.message_id == "<01abc@mta1.example.net>"
    assert message.size == len(content)
    complete, message = take(COMPLETE + b"\r\n")
    assert complete.count(b"Message-ID: ") == complete.count(b"Date: ") == 1
    assert message.message_id == "<1@example.org>"


def test_bcc_goes_with_its_folded_lines() -> None:
    bcc = b"BCC: a@example.org,\r\n b@example.org\r\n"
    content, _ = take(COMPLETE + bcc + b"To: c@example.org\r\nResent-Bcc : d\r\n\r\nBcc: body\r\n")
    assert content.endswith(COMPLETE + b"To: c@example.org\r\n\r\nBcc: body\r\n")


@pytest.mark.parametrize("body", [b"", b"no header at all\r\n", b" indented\r\n"])
def test_there_is_always_an_empty_line_behind_the_header_section(body: bytes) -> None:
    content, _ = take(body)
    header, _, rest = content.partition(b"\r\n\r\n")
    assert header.startswith(b"Received: ")
    assert rest == body


def test_options_are_taken_and_removed() -> None:
    options = b"X-POSTJET-Priority : 9\r\nX-Postjet-Delay:\r\n 60\r\n"
    content, message = take(COMPLETE + options + b"\r\nX-Postjet-Pool: x\r\n")
    assert content.endswith(COMPLETE + b"\r\nX-Postjet-Pool: x\r\n")
    assert (message.options.priority, message.options.later) == (9, When(delay=60))


def test_options_are_refused_by_name() -> None:
    _, message = take(b"Subject: x\r\nx-Postjet-Hue: fast\r\n\r\n")
    assert str(message.refusal) == "550 5.6.0 x-Postjet-Hue: no option of this version; remove the field"


@pytest.mark.parametrize("value", [b"9", b"urgent", b"9\r\nX-Postjet-Priority: 8"])
def test_options_of_others_are_removed_without_effect(value: bytes) -> None:
    options = b"X-Postjet-Priority: " + value + b"\r\nX-Postjet-Pool: fast\r\nX-Postjet-Delay: 60\r\n"
    content, message = take(COMPLETE + options + b"\r\nhello\r\n", pools=())
    assert content.endswith(COMPLETE + b"\r\nhello\r\n")
    assert message.options == NOTHING


def test_loops_end() -> None:
    assert not take(b"Received: x\r\n" * (MAX_HOPS - 1))[1].refusal
    _, message = take(b"Received: x\r\n" * MAX_HOPS)
    assert message.refusal
    assert message.refusal[:2] == (554, "5.4.6")


def test_limit_counts_what_the_client_sent() -> None:
    data = COMPLETE + b"\r\n" + b"x" * 1000
    assert not take(data, max_size=len(data))[1].refusal
    _, message = take(data + b"y", max_size=len(data), size=7)
    assert message.refusal
    assert message.refusal[:2] == (552, "5.3.4")


def test_header_limit() -> None:
    field = b"X: " + b"a" * (MAX_HEADER - 5) + b"\r\n"
    assert not take(field + b"\r\nbody", 2**22)[1].refusal
    _, message = take(b"Y" + field + b"\r\nbody", 2**22)
    assert message.refusal
    assert message.refusal[:2] == (552, "5.3.4")


def test_message_id_is_fit_for_logs_and_entries() -> None:
    _, message = take(b"Message-ID: <a\x1b[1m\0\xff" + b"b" * 2000 + b">\r\n\r\n")
    assert message.message_id.startswith("<a?[1m?bbb")
    assert len(message.message_id) == 998


@given(st.binary(max_size=300), st.integers(1, 50))
def test_whatever_is_fed_pieces_make_no_difference(data: bytes, size: int) -> None:
    data += b"\r\n"
    assert take(data, size=size)[0] == take(data)[0]


def test_fields_that_controls_match_are_kept() -> None:
    message = Message(trace(), 10**6, HeaderOptions(), kept_fields=("list-id", "precedence", "x-job"))
    message.feed(b"List-ID:  News\r\n <a.example>\r\nlist-id: second\r\nX-Job: " + b"j" * 500)
    message.feed(b"\r\n\r\nPrecedence: bulk\r\n")
    message.finish()
    assert message.kept == {"list-id": "News <a.example>", "x-job": "j" * 200}
