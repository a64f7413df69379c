"""Sessions made of valid and broken commands, from a random generator."""

import base64
from random import Random

ADDRESSES = ("b@example.com", "c@example.com", "d@example.net", "postmaster", '"e f"@example.com')
BAD_ADDRESSES = (
    "", "bad", "a..b@example.com", "x@nodots", "\0@example.com", "jürgen@example.com", "@a,@b:c@example.com",
)  # fmt: skip
PARAMETERS = (
    "SIZE=100", "SIZE=99999", "BODY=8BITMIME", "BODY=7BIT", "SIZE=x", "X=y", "RET=FULL", "SMTPUTF8", "=",
    "SIZE=1 SIZE=2",
)  # fmt: skip
OTHERS = (
    "NOOP", "NOOP x", "RSET", "VRFY x", "HELP", "EXPN x", "ETRN x", "TURN", "AUTH PLAIN", "XCLIENT ADDR=::1",
    "DATA x", "", " ", "BDAT", "BDAT 5LAST", "BDAT -1", "BDAT 1 2", "BDAT x LAST", "BDAT 99999999999999999999 LAST",
    "RCPT", "MAIL", "RSET x",
)  # fmt: skip
FIELDS = (
    b"Subject: x", b"Bcc: b@example.com", b"BCC :", b"bcc\t:x,\r\n y", b"Resent-Bcc: x", b"X-Postjet-Priority: 3",
    b"Date: x", b"X-Postjet-Tag: a", b"X-Reply: b", b"X-Postjet: b", b"Received: x", b"Message-ID: <1@x>",
    b"To: a,\r\n\tb", b"no field", b"X: \xe4", b":", b"\0: y", b" fold", b"X-Long: " + b"z" * 900,
)  # fmt: skip
BODY = (
    b"text", b"", b".", b"..", b".a", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\r\n", b"\0", b"\r", b"\n",
    b"QUIT", b"MAIL FROM:<evil@example.org>", b"RSET\r\n", b"x" * 1500, b"\xff\xfe",
)  # fmt: skip

WORDS = (
    b"AHRpbQBjb3JyZWN0IGhvcnNl", b"dGlt", b"*", b"=", b"", b"biwsbj10aW0scj1hYmM=", b"BDAT 3", b"\xff", b"A" * 13_000
)  # fmt: skip


def session(random: Random) -> bytes:
    """All that a client sends."""
    parts = [random.choice([b"EHLO c.example\r\n"] * 6 + [b"HELO c.example\r\n", b"", b"EHLO \xff\r\n"])]
    if random.random() < 0.2:
        parts += _login(random)
    for _ in range(random.randint(1, 4)):
        parts += _transaction(random)
    if random.random() < 0.3:
        parts.append(b"QUIT\r\n")
    if random.random() < 0.3:
        _disturb(random, parts)
    stream = b"".join(parts)
    return _corrupt(random, stream) if random.random() < 0.2 else stream


def pieces(random: Random, stream: bytes) -> list[bytes]:
    """The stream as it may arrive."""
    size = random.choice((0, 0, 0, 3, 30, 300, 3000, 2**16))
    if not size:  # who waits for replies
        return stream.splitlines(keepends=True)
    cut, at = [], 0
    while at < len(stream):
        step = random.randint(1, size)
        cut.append(stream[at : at + step])
        at += step
    return cut


def _login(random: Random) -> list[bytes]:
    first = random.choice((b"PLAIN", b"LOGIN", b"SCRAM-SHA-256", b"X", b"PLAIN " + WORDS[0], b"LOGIN dGlt"))
    lines = [random.choice(WORDS) for _ in range(random.choice((0, 1, 1, 2, 3)))]
    return [line + b"\r\n" for line in (b"AUTH " + first, *lines)]


def _transaction(random: Random) -> list[bytes]:
    bad = random.random() < 0.1
    parts = [_line(random, f"MAIL FROM:<{_address(random, bad)}>{_parameters(random, bad)}")]
    for _ in range(random.choice((0, 1, 1, 1, 1, 1, 2, 2, 5))):
        bad = random.random() < 0.2
        parts.append(_line(random, f"RCPT TO:<{_address(random, bad)}>{_parameters(random, bad) if bad else ''}"))
    if random.random() < 0.5:
        return [*parts, _line(random, "DATA"), _stuffed(random, _content(random))]
    return [*parts, *_chunks(random, _content(random))]


def _stuffed(random: Random, content: bytes) -> bytes:
    """A client that knows of dots, mostly; and of the end, mostly."""
    if random.random() < 0.9:
        content = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    return content + random.choice([b"\r\n.\r\n"] * 9 + [b"\r\n.\r", b"\n.\n"])


def _chunks(random: Random, content: bytes) -> list[bytes]:
    parts = []
    while content and random.random() < 0.5:
        size = random.randint(0, len(content))
        parts.append(_line(random, f"BDAT {size}") + content[:size])
        content = content[size:]
    size = len(content) + random.choice([0] * 20 + [-1, 1])
    return [*parts, _line(random, f"BDAT {max(size, 0)} LAST") + content]


def _content(random: Random) -> bytes:
    fields = [random.choice(FIELDS) for _ in range(random.randint(0, 6))]
    body = [random.choice(BODY) for _ in range(random.randint(0, 6))]
    end = random.choice([b"\r\n"] * 8 + [b"\n", b"\r"])
    return end.join([*fields, *random.choice(([b""], [])), *body]) + random.choice((end, b""))


def _disturb(random: Random, parts: list[bytes]) -> None:
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(parts))
        match random.randrange(7):
            case 0:
                del parts[at]
            case 1:
                parts.insert(at, parts[random.randrange(len(parts))])
            case 2:
                other = random.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            case 3:
                parts.insert(at, b"STARTTLS\r\n")
            case 4:
                junk = base64.b64encode(random.randbytes(random.choice((3, 30, 1500, 9500))))
                parts.insert(at, b"AUTH PLAIN " + junk + b"\r\n")
            case 5:
                parts.insert(at, random.choice((b"x" * 3000, random.randbytes(50), b"GET / HTTP/1.1")) + b"\r\n")
            case _:
                parts.insert(at, _line(random, random.choice(OTHERS)))
        parts[:] = parts or [b"NOOP\r\n"]


def _corrupt(random: Random, stream: bytes) -> bytes:
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(stream) + 1)
        junk = random.choice((b"", b"\r", b"\n", b"\0", b".", b"\r\n", b"\r\n.\r\n", random.randbytes(3)))
        stream = stream[:at] + junk + stream[at + random.choice((0, 1, 2)) :]
    return stream


def _line(random: Random, text: str) -> bytes:
    if random.random() < 0.1:
        text = text.lower()
    return text.encode() + random.choice([b"\r\n"] * 150 + [b" \r\n", b"\n", b"\r", b"\r\r\n"])


def _address(random: Random, bad: bool) -> str:
    return random.choice(BAD_ADDRESSES if bad else ADDRESSES)


def _parameters(random: Random, bad: bool) -> str:
    if bad:
        return " " + random.choice(PARAMETERS)
    return random.choice(("", "", " SIZE=100", " BODY=8BITMIME"))
