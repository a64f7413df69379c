"""Parts of a mail, and how much of it is looked at."""

import pytest

from dsn.parse.mime import DEPTH, HEADER, PARTS, READ, TEXT, Part, leaves, words_of_html


def test_parts_within_parts() -> None:
    root, found = leaves(
        b'Content-Type: multipart/mixed; boundary="a"\r\n\r\npreamble\r\n--a\r\n'
        b"Content-Type: multipart/alternative;\r\n boundary=ab\r\n\r\n--ab\r\n\r\none\r\n--ab\r\n"
        b"Content-Type: text/html\r\n\r\n<b>two</b>\r\n--ab--\r\n--a \r\n"
        b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n--ab\r\nthree\r\n--a--\r\nepilogue"
    )
    assert root.type == "multipart/mixed"
    assert [part.type for part in found] == ["text/plain", "text/html", "message/rfc822"]
    assert [part.text for part in found] == ["one", "two", "Subject: x\n\n--ab\nthree"]


def test_a_boundary_without_a_name_is_guessed() -> None:
    _, found = leaves(
        b"Content-Type: multipart/mixed\n\n-- \nAnn\n--x=1\nContent-Type: text/x\n\none\n--x=1\n\ntwo\n--x=1--\n"
    )
    assert [(part.type, part.text) for part in found] == [("text/x", "one"), ("text/plain", "two")]


def test_a_multipart_without_parts_is_text() -> None:
    _, found = leaves(b"Content-Type: multipart/report; boundary=x\n\nno part\n")
    assert [(part.type, part.text) for part in found] == [("text/plain", "no part\n")]


@pytest.mark.parametrize(
    ("head", "body", "text"),
    [
        ("Content-Transfer-Encoding: quoted-printable", "a=\n=C3=A9", "aé"),
        ("Content-Transfer-Encoding: base64", "w6k=\n", "é"),
        ("Content-Transfer-Encoding: base64", "w6lhYmM", "éabc"),
        ("Content-Transfer-Encoding: base64", "YWJjZ", "abc"),
        ("Content-Transfer-Encoding: uuencode", "as it is", "as it is"),
        ("Content-Type: text/plain; charset=iso-2022-jp", "\x1b$B%F\x1b(B", "テ"),
        ("Content-Type: text/plain; charset=no-such", "é", "é"),
        ("Content-Type: text/plain; charset=punycode", "a-b", "a-b"),
        ("Content-Type: text/plain; charset=\x00", "é", "é"),
        ("Content-Type: text/plain; charset=rot13", "abc", "abc"),
    ],
)
def test_text(head: str, body: str, text: str) -> None:
    assert Part(f"{head}\n\n{body}".encode()).text == text


def test_bytes_of_no_charset() -> None:
    assert Part(b"Subject: x\n\n\xe9").text == "é"


def test_html() -> None:
    html = "<head><title>no</title></head><style>p {}</style><p>one<br>two</p><div>&lt;a@b.example&gt;:</div><script>no"
    assert [line for line in words_of_html(html).split("\n") if line] == ["one", "two", "<a@b.example>:"]


def test_what_is_not_looked_at() -> None:
    some = b"".join(b"--i%d\n\nx\n" % i + b"--i\n\nx\n" * (PARTS // 2) for i in range(3))
    many = b"".join(b"--b\nContent-Type: multipart/mixed; boundary=i\n\n%s" % some for _ in range(3))
    assert len(leaves(b"Content-Type: multipart/mixed; boundary=b\n\n" + many)[1]) == PARTS
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(3 * DEPTH))
    _, found = leaves(deep + b"\nx")
    assert len(found) == 1
    assert f"--b{DEPTH}\n" in found[0].text
    assert len(Part(b"X: " + b"y" * (2 * HEADER)).header) == HEADER
    assert len(Part(b"\n" + b"y" * (2 * TEXT)).text) == TEXT
    assert len(leaves(b"X: y\n\n" + b"y" * (2 * READ))[0].body) < READ


def test_a_return_too_many_is_no_empty_line() -> None:  # DragonFly's agent quotes the lines of a reply so
    _, [part] = leaves(b"Subject: x\r\n\r\n550-no\r\r\n550 such user\r\n\r\nbye\r\n")
    assert part.text == "550-no\n550 such user\n\nbye\n"
