"""The return path and the field that mail leaves with."""

from support import make_entry

from common.verp import Tokens
from outbound.return_paths import ReturnPaths
from outbound.smtp import Envelope

TOKENS = Tokens([bytes(32)])
PATHS = ReturnPaths("bounces.example.net", lambda: TOKENS)
MESSAGE = b"DKIM-Signature: v=1\r\nSubject: x\r\n\r\nhello\r\n"


def test_mail_leaves_with_it() -> None:
    entry = make_entry(notify="FAILURE", envid="E1", orcpt="rfc822;x", ret="HDRS")
    before = Envelope.of(entry, smtputf8=False)
    envelope, message = PATHS.put_on(entry, before, MESSAGE, 1.8e9)
    token = TOKENS.make(entry, 1.8e9)
    assert envelope == before._replace(sender=f"{token}@bounces.example.net")
    assert message == f"X-Postjet-Id: {token}\r\n".encode() + MESSAGE


def test_null_stays_null() -> None:
    entry = make_entry(sender="")
    envelope = Envelope.of(entry, smtputf8=False)
    assert PATHS.put_on(entry, envelope, MESSAGE, 1.8e9) == (envelope, MESSAGE)


def test_a_sender_that_is_not_ascii_asks_nothing_of_the_next_hop() -> None:
    entry = make_entry(sender="gr\u00fc\u00dfe@example.com", smtputf8=True)
    envelope, _ = PATHS.put_on(entry, Envelope.of(entry, smtputf8=False), MESSAGE, 1.8e9)
    assert envelope.sender.isascii()
