"""What leaves has no line of more than 998 bytes, and reads the same."""

import email
import quopri
import re
from base64 import b64decode
from email.message import Message

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outbound import mime
from outbound.long_lines import LONGEST, has_long, shortened
from outbound.normalise import normalise

LONG = b"word " * 300 + b"end"
UTF8 = "Grüße ".encode() * 200
HEADER = b"Subject: x\r\nMIME-Version: 1.0\r\n"


def longest(text: bytes) -> int:
    return max(map(len, text.split(b"\r\n")))


def leaves(message: Message) -> list[bytes]:
    """The decoded bodies of all parts."""
    return [
        payload for part in message.walk() if not part.is_multipart()
        if isinstance(payload := part.get_payload(decode=True), bytes)
    ]  # fmt: skip


def read(message: bytes) -> list[bytes]:
    return leaves(email.message_from_bytes(message))


def checked(message: bytes) -> bytes:
    """The message shortened: no long line, the same texts, and nothing more to do."""
    short = shortened(message)
    assert longest(short) <= LONGEST
    assert short.count(b"\r\n") == short.count(b"\n") == short.count(b"\r")
    assert [leaf.rstrip(b"\r\n") for leaf in read(short)] == [leaf.rstrip(b"\r\n") for leaf in read(message)]
    assert shortened(short) is short
    return short


@pytest.mark.parametrize("line", [b"", b"x" * 998, b"x" * 998 + b"\r\n", b"\r\n" * 3000 + b"x" * 998 + b"\r\n"])
def test_what_is_short_is_the_same_object(line: bytes) -> None:
    message = HEADER + b"\r\n" + line
    assert shortened(message) is message


@given(st.lists(st.integers(0, 30) | st.integers(990, 1010) | st.integers(1900, 2100), max_size=8), st.booleans())
def test_long_lines_are_found(lengths: list[int], ended: bool) -> None:
    text = b"\r\n".join(b"x" * length for length in lengths) + b"\r\n" * ended
    assert has_long(text) == any(length > LONGEST for length in lengths)


@pytest.mark.parametrize("value", [
    LONG, b"x" * 3000, b"<" + b">, <".join(b"a%d@b.example" % i for i in range(200)) + b">",
    b",".join(b"a%d@b.example" % i for i in range(200)), UTF8, "ü".encode() * 1500, b"a" + b" " * 3000 + b"b",
    b"a" * 900 + b" " * 150 + b"b" * 900, b"x" * 997 + b" y" + b"z" * 996,
])  # fmt: skip
def test_header_lines_are_folded(value: bytes) -> None:
    message = b"From: a@b.example\r\nX-Long: " + value + b"\r\nTo: c@d.example\r\n\r\nhello\r\n"
    short = shortened(message)
    assert longest(short) <= LONGEST
    header = email.message_from_bytes(short)
    assert header.keys() == ["From", "X-Long", "To"]
    assert header.get_payload() == "hello\r\n"
    assert all(line.strip() for line in short.partition(b"\r\n\r\n")[0].split(b"\r\n"))
    folded = short.partition(b"X-Long:")[2].partition(b"\r\nTo:")[0]
    assert re.sub(rb"\s", b"", folded) == re.sub(rb"\s", b"", value)
    if b" " in value and b" " * 100 not in value and longest(value.replace(b" ", b"\r\n")) < 990:
        assert folded.replace(b"\r\n", b"") == b" " + value.rstrip()  # RFC 5322 2.2.3: unfolded it is what it was
    if not value.isascii():
        folded.decode()  # no character was cut


WORDS = st.sampled_from([b"x", b" ", b"\t", b",", b";", b"y" * 400, b" " * 90, b" " * 200, b"\xc3\xbc"])


@given(st.lists(WORDS, max_size=40))
def test_any_header_line_is_folded(pieces: list[bytes]) -> None:
    value = b"".join(pieces)
    short = shortened(b"X: " + value + b"\r\nTo: a@b.example\r\n\r\nbody\r\n")
    assert longest(short) <= LONGEST
    header, _, body = short.partition(b"\r\n\r\n")
    assert body == b"body\r\n"
    assert header.endswith(b"\r\nTo: a@b.example")
    first, *more = header.split(b"\r\n")[:-1]
    assert first.startswith(b"X:")
    assert all(line[:1] in (b" ", b"\t") and line.strip() for line in more)
    assert re.sub(rb"\s", b"", b"".join([first, *more])) == re.sub(rb"\s", b"", b"X:" + value)


@pytest.mark.parametrize(
    ("fields", "encoding"),
    [
        (b"", b"quoted-printable"),
        (b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n", b"quoted-printable"),
        (b"Content-Transfer-Encoding:\r\n 8bit\r\nContent-Type: text/plain\r\n", b"quoted-printable"),
        (b"MIME-Version: 1.0\r\nContent-Type: application/json\r\n", b"base64"),
    ],
)
@pytest.mark.parametrize("text", [LONG + b"\r\n.\r\n=41 \r\n", b"<b>" + LONG + b"\r\n" + UTF8[:200] + b"\r\n"])
def test_one_part_is_encoded(fields: bytes, encoding: bytes, text: bytes) -> None:
    short = checked(b"Subject: x\r\n" + fields + b"\r\n" + text)
    parsed = email.message_from_bytes(short)
    assert parsed.get_all("Content-Transfer-Encoding") == [encoding.decode()]
    assert parsed.get_all("MIME-Version") == ["1.0"]
    assert short.isascii()
    assert parsed.get_payload(decode=True) == text
    if b"Content-Type" not in fields:
        assert parsed.get_content_charset() == (None if text.isascii() else "utf-8")


def test_what_is_mostly_not_ascii_becomes_base64() -> None:
    text = "Привет, мир! ".encode() * 200 + b"\r\n"
    short = checked(HEADER + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text)
    assert b"Content-Transfer-Encoding: base64\r\n" in short
    assert len(short) < 1.5 * len(text)


def test_a_text_of_an_unknown_charset_says_so() -> None:
    short = checked(b"Subject: x\r\n\r\n" + LONG + b"\xe9\r\n")
    assert email.message_from_bytes(short).get_content_charset() == "unknown-8bit"


def part(body: bytes, fields: bytes = b"Content-Type: text/plain\r\n") -> bytes:
    return b"--b\r\n" + fields + b"\r\n" + body + b"\r\n"


def multipart(*parts: bytes, type_: bytes = b"mixed", end: bytes = b"--b--\r\n") -> bytes:
    return b"Content-Type: multipart/" + type_ + b"; boundary=b\r\n\r\n" + b"".join(parts) + end


def test_only_the_part_with_the_long_line_is_encoded() -> None:
    attached = part(b"A" * 76, b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n")
    message = HEADER + multipart(part(b"short \xff"), part(LONG), attached)
    short = checked(message)
    assert part(b"short \xff") in short
    assert attached in short
    assert short.count(b"quoted-printable") == short.count(b"MIME-Version") == 1


def test_a_boundary_line_may_be_padded() -> None:
    padded = part(b"short", b"X: y\r\n").replace(b"--b", b"--b" + b" " * 1200)
    short = checked(HEADER + multipart(padded, part(LONG)))
    assert all(line.strip() for line in short.split(b"\r\n") if line)  # a header begins with no blank line
    [first, second] = email.message_from_bytes(short).get_payload()
    assert first["X"] == "y"
    assert second["Content-Transfer-Encoding"] == "quoted-printable"


def test_multiparts_in_multiparts_and_messages_in_messages() -> None:
    inner = multipart(part(LONG), type_=b"alternative").replace(b"b\r\n", b"c\r\n").replace(b"--b--", b"--c--")
    forwarded = part(b"X: " + LONG + b"\r\n\r\n" + LONG, b"Content-Type: message/rfc822\r\n")
    short = checked(HEADER + multipart(b"--b\r\n" + inner, forwarded))
    assert short.count(b"Content-Transfer-Encoding: quoted-printable\r\n") == 2
    _, outer = email.message_from_bytes(short).get_payload()
    assert outer.get_content_type() == "message/rfc822"
    assert outer.get_payload(0)["X"].replace("\r\n", "") == LONG.decode()


def test_a_digest_has_messages() -> None:
    short = checked(HEADER + multipart(part(b"Subject: y\r\n\r\n" + LONG, b""), type_=b"digest"))
    assert b"--b\r\n\r\nSubject: y\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n" in short


@pytest.mark.parametrize("hostile", [b";" * 1_000_000, b';a="' + b";" * 1_000_000, b';a="\\"' * 250_000])
def test_a_content_type_of_a_megabyte(hostile: bytes) -> None:
    """Quadratic work would not end within the test's time."""
    for type_ in (b"text/plain", b"multipart/mixed; boundary=b"):
        message = b"Content-Type: " + type_ + b"\r\n " + hostile + b"\r\n\r\n" + LONG + b"\r\n"
        assert longest(shortened(message)) <= LONGEST


@pytest.mark.parametrize(
    "parameter",
    [
        b"boundary*=undefined''b", b"boundary*=idna''b%ff", b"boundary*=unicode_escape''%5cud800",
        b"boundary*=utf-7''%2B2AA-", b"boundary*=a%00b''b", b"boundary*" + b"9" * 5000 + b"=b",
        b"boundary*0*=undefined''b; boundary*1=b",
    ],
)  # fmt: skip
def test_a_boundary_that_cannot_be_decoded(parameter: bytes) -> None:
    """What the parser raises would end every attempt of the worker."""
    for tail in (LONG, b"x"):
        message = b"Content-Type: multipart/mixed; " + parameter + b"\r\n\r\n--b\r\n\r\n" + tail + b"\r\n"
        assert mime.parse(message).boundary == b""
        assert longest(shortened(message)) <= LONGEST


def test_of_more_parts_than_anybody_makes_the_last_ones_are_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mime, "MAX_PARTS", 3)
    few, many = (HEADER + multipart(*[part(b"x")] * number, part(LONG)) for number in (2, 3))
    assert b"quoted-printable" in checked(few)
    broken = shortened(many)
    assert b"quoted-printable" not in broken
    assert longest(broken) <= LONGEST


@pytest.mark.parametrize(
    ("line", "most"), [(b"--b", mime.MAX_LINES), (b"--bx", mime.MAX_LINES), (b"x--b--b--b", 2)]
)
def test_of_lines_that_look_like_boundaries_so_many_are_looked_at(
    line: bytes, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0

    class Tail:
        def match(self, body: bytes, at: int) -> re.Match[bytes] | None:
            nonlocal looked_at
            looked_at += 1
            return tail.match(body, at)

    tail = mime._TAIL
    monkeypatch.setattr(mime, "_TAIL", Tail())
    entity = mime.parse(HEADER + multipart(part(b"x"), (line + b"\r\n") * 3 * mime.MAX_LINES))
    pieces = mime.split(entity)
    assert pieces
    assert b"".join(pieces) == entity.body
    assert looked_at == most


def test_what_is_signed_stays_as_it_is() -> None:
    signed = multipart(part(LONG), part(b"sig", b"Content-Type: application/pgp-signature\r\n"), type_=b"signed")
    message = HEADER + signed
    assert shortened(message) == message
    around = HEADER + b"X: " + LONG + b"\r\n" + signed
    assert shortened(around).endswith(signed)
    assert shortened(around) != around


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        (b"quoted-printable", b"=C3=BC-" * 400 + b"=\r\nmore =3D\r\n"),
        (b"Quoted-Printable", b"-" * 3000),
        (b"quoted-printable", b"=3D" * 1000 + b"="),
        (b"base64", b"QUJD" * 1000),
    ],
)
def test_what_is_encoded_already_is_broken_where_it_may_be(encoding: bytes, text: bytes) -> None:
    message = HEADER + b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + text + b"\r\n"
    short = checked(message)
    assert longest(short) <= 76
    assert short.startswith(message.partition(b"\r\n\r\n")[0])


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Transfer-Encoding: x-uuencode\r\n",
        b"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n",
        b"Content-Type: multipart/mixed\r\n",
        b"Content-Type: multipart/mixed; boundary=missing\r\n",
        b"Content-Type: text/plain\r\nContent-Type: text/html\r\n",
        b"Content-Type: message/partial\r\n",
    ],
)
def test_what_cannot_be_understood_is_broken(fields: bytes) -> None:
    short = shortened(b"Subject: x\r\n" + fields + b"\r\n" + b"a" * 2500 + b"\r\nb\r\n")
    lines = [b"a" * 998, b" " + b"a" * 997, b" " + b"a" * 505, b"b", b""]
    assert short == b"Subject: x\r\n" + fields + b"\r\n" + b"\r\n".join(lines)


def test_preamble_and_epilogue_are_broken() -> None:
    checked(HEADER + multipart(LONG + b"\r\n", part(b"x"), end=b"--b--\r\n" + LONG))


def test_a_new_line_is_no_boundary() -> None:
    """Soft line breaks could put a boundary at the start of a line, where there was none."""
    text = b"a" * 75 + b"--b--" * 300
    for shift in range(80):
        short = checked(HEADER + multipart(part(b"x" * shift + text), part(b"second")))
        assert len(read(short)) == 2
        encoded = part(b"x" * shift + text, b"Content-Transfer-Encoding: quoted-printable\r\n")
        assert len(read(checked(HEADER + multipart(encoded, part(b"second"))))) == 2


def test_a_large_line_is_no_slower_than_a_large_text() -> None:
    """Quadratic work would not end within the test's time."""
    for fields in (b"", b"Content-Transfer-Encoding: quoted-printable\r\n", b"Content-Transfer-Encoding: x\r\n"):
        message = HEADER + fields + b"\r\n" + b"x" * 20_000_000 + b"\r\n"
        assert longest(shortened(message)) <= LONGEST


PIECES = st.sampled_from([
    b"\r\n", b"\r\n\r\n", b"--b", b"--b--", b"\r\n--b\r\n", b"\r\n--b--\r\n", b"x" * 600, b"y" * 1100, b" ", b"\xff",
    b"\r\nContent-Type: text/plain\r\n\r\n", b"=", b"=\r\n", b"Content-Transfer-Encoding: base64\r\n", b".",
    b"\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n", b"-", b": ", b"QUJD" * 300,
    b"\r\nContent-Type: message/rfc822\r\n\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n", b"\xc3\xbc" * 700, b"\t" * 120,
    b'Content-Type: multipart/signed; boundary="b c"\r\n', b"\r\n--b c\r\n",
])  # fmt: skip


@given(st.lists(PIECES, max_size=25).map(b"".join), st.booleans())
@example(b"--b" + b" " * 1200 + b"\r\n\r\n--b--", True)
def test_whatever_comes_leaves_with_short_lines(text: bytes, is_multipart: bool) -> None:
    message = normalise(multipart(text) if is_multipart else text)
    short = shortened(message)
    if b"multipart/signed" not in message:
        assert longest(short) <= LONGEST
        assert shortened(short) is short
    assert short.count(b"\r\n") == short.count(b"\n") == short.count(b"\r")
    assert short.endswith(b"\r\n") == message.endswith(b"\r\n")
    assert (short is message) == (not has_long(message)) or b"multipart/signed" in message


@given(st.lists(PIECES, max_size=25).map(b"".join))
def test_what_is_taken_apart_is_put_together(text: bytes) -> None:
    message = normalise(multipart(text))
    entity = mime.parse(message)
    assert entity.header + entity.separator + entity.body == message
    if (pieces := mime.split(entity)) is not None:
        assert b"".join(pieces) == entity.body
        assert len(pieces) % 2
        assert all(pieces[1::2])


@given(st.binary(max_size=3000), st.binary(max_size=3000), st.booleans())
def test_texts_read_the_same(first: bytes, second: bytes, is_alternative: bool) -> None:
    """Whatever is in them, but for what would be structure."""
    texts = [normalise(b"X: y\r\n\r\n" + text + b"z" * 1100).partition(b"\r\n\r\n")[2][:-2] for text in (first, second)]
    if not any(b"--b" in text for text in texts):
        parts = [part(text, b"Content-Type: text/plain\r\n") for text in texts]
        checked(HEADER + multipart(*parts, type_=b"alternative" if is_alternative else b"mixed"))


def test_the_encodings_are_those_of_the_standard() -> None:
    """Another decoder than email's."""
    short = shortened(b"Subject: x\r\n\r\n" + UTF8[:700] + LONG + b"\r\n")
    body = short.partition(b"\r\n\r\n")[2]
    assert quopri.decodestring(body) == UTF8[:700] + LONG + b"\r\n"
    short = shortened(HEADER + b"Content-Type: image/x\r\n\r\n" + LONG + b"\r\n")
    assert b64decode(short.partition(b"\r\n\r\n")[2]) == LONG + b"\r\n"
