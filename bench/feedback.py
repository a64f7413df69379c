"""Reading what came back: reports a second on one core, and what the worst mails take: ``python -m bench.feedback``.

CPU time of this process, so other load hardly matters. The mails are invented (tests/bounces_in_words.toml and others),
each with a returned mail of 20 KB; the worst ones are 50 MB of what costs a careless parser the square of it. The
standard library's parser is measured beside it, on the same mails and on one of 50 MB.
"""

import sys
import time
from collections.abc import Callable, Iterable
from email import message_from_bytes
from email.policy import compat32

from dsn.parse import parse
from tests.bounces_in_words import SAMPLES, mail
from tests.feedback_samples import (
    ARF_HEAD,
    ARF_ORIGINAL,
    ARF_REPORT,
    HEAD,
    RETURNED,
    SES_BOUNCE,
    STATUS,
    WORDS,
    notification,
)  # fmt: skip

#: Wanted of one core, a second.
WANTED = 500
ROUNDS = 20
SIZE = 50_000_000
MORE = b"".join(b"line %d of the mail that was returned\n" % i for i in range(500))
BOUNCE = b"From: MAILER-DAEMON@mx.example\nSubject: failure notice\n"
MANY = BOUNCE + b"Content-Type: multipart/report; boundary=b\n\n"
RECIPIENT = b"Final-Recipient: rfc822; ann@there.example\nAction: failed\nStatus: 5.0.0\n\n"


def mails() -> list[bytes]:
    """One of each sort."""
    in_words = [mail(sample.sender, sample.subject, sample.text) + MORE for sample in SAMPLES]
    whole = RETURNED.replace(b"text/rfc822-headers", b"message/rfc822").replace(b"\n--x/1--", MORE + b"\n--x/1--")
    arf = ARF_HEAD + ARF_REPORT + ARF_ORIGINAL.replace(b"Buy now.", MORE)
    # as many with a report for machines as in words: most are such
    return [*in_words, *[HEAD + WORDS + STATUS + whole] * len(in_words), arf, notification(SES_BOUNCE)]


def worst() -> Iterable[tuple[str, bytes]]:
    """What a mail is like, and the mail."""
    yield "one line", BOUNCE + b"\n" + b"x" * SIZE
    yield "at signs", BOUNCE + b"\n" + b"a@" * (SIZE // 2)
    yield "addresses", BOUNCE + b"\ncould not be delivered\n" + b"<ann@there.example>: 550 no\n" * (SIZE // 28)
    yield "header fields", b"X: y\n" * (SIZE // 5)
    yield "one folded field", b"Subject: a\n" + b" b\n" * (SIZE // 3)
    yield "delimiters", MANY + b"--b\n\nx\n" * (SIZE // 7)
    yield "nearly delimiters", MANY + b"--bX\n" * (SIZE // 5)
    nested = (b"--%d\nContent-Type: multipart/mixed; boundary=%d\n\n" % (i, i + 1) for i in range(SIZE // 60))
    yield "nested parts", MANY.replace(b"boundary=b", b"boundary=0") + b"".join(nested)
    yield "recipients", MANY + b"--b\nContent-Type: message/delivery-status\n\n" + RECIPIENT * (SIZE // len(RECIPIENT))
    yield "groups", MANY + b"--b\nContent-Type: message/delivery-status\n\n" + RECIPIENT + b"X: y\n\n" * (SIZE // 6)
    yield "tags", BOUNCE + b"Content-Type: text/html\n\n" + b"<style " * (SIZE // 7)
    yield "JSON", BOUNCE + b"\n" + b'{"a":' * (SIZE // 5)
    yield "an attachment", MANY + b"--b\n\nHello.\n--b\nContent-Type: x/y\n\n" + b"YWJj" * (SIZE // 4)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds that it takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Print the figures; ends with 1 where less than is wanted is read."""
    some = mails()
    count, size = len(some) * ROUNDS, sum(map(len, some)) / len(some)
    parse(some[0])  # compiles the rules
    took = seconds(lambda: [parse(one) for _ in range(ROUNDS) for one in some])
    slow = seconds(lambda: [message_from_bytes(one, policy=compat32) for _ in range(ROUNDS) for one in some])
    print(f"{count / took:8,.0f} reports/s of one core, {size:,.0f} bytes each (wanted: {WANTED})")
    print(f"{count / slow:8,.0f} a second are parsed alone by the standard library")
    for what, message in worst():
        took_it = seconds(lambda: parse(message))  # noqa: B023
        print(f"{took_it:8.2f} s for {len(message) / 1e6:3.0f} MB of {what}")
    slow = seconds(lambda: message_from_bytes(message, policy=compat32))
    print(f"{slow:8.2f} s the standard library takes for the last")
    sys.exit(count / took < WANTED)


if __name__ == "__main__":
    main()
