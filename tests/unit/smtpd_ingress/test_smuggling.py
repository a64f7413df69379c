"""A message cannot smuggle another one in: what looks like the end of data and is none ends nothing."""

import pytest
from dialogue_support import Driven, context
from smuggling import EVIL, SEQUENCES, ends

START = b"EHLO c.example\r\n", b"MAIL FROM:<a@example.org>\r\nRCPT TO:<postmaster>\r\n"
BEGIN = b"From: a@example.org\r\nSubject: x\r\n\r\nbefore"
STRANGER = "203.0.113.9"


def begun(client: str) -> Driven:
    driven = Driven(client, context(postmaster="p@example.com"))
    for part in START:
        driven.say(part)
    return driven


def fit(content: bytes) -> bool:
    """What a next hop cannot misread."""
    return content.count(b"\r\n") == content.count(b"\r") == content.count(b"\n") and b"\0" not in content


@pytest.mark.parametrize("client", ["127.0.0.1", STRANGER])
@pytest.mark.parametrize("size", [1, 2, 3, 2**16])
@pytest.mark.parametrize("sequence", SEQUENCES, ids=repr)
def test_data(sequence: bytes, size: int, client: str) -> None:
    driven = begun(client)
    driven.say(b"DATA\r\n")
    replies = driven.say(BEGIN + sequence + EVIL, size)
    if ends(sequence):  # what is behind it comes as commands by right, but behind a NUL there is none
        assert replies[0].code == (550 if b"\0" in sequence.partition(b"\r\n.\r\n")[0] and client == STRANGER else 250)
        assert replies[1].code == (500 if sequence.endswith(b"\0") else 250)
        return
    # Trusted: one message that is fit to be sent on. From a stranger: none.
    assert [reply.code for reply in replies] == [550 if client == STRANGER else 250]
    assert [recipients for recipients, _ in driven.messages] == [("p@example.com",)] * (client != STRANGER)
    for _, content in driven.messages:
        assert b"MAIL FROM:<evil" in content
        assert fit(content)
    assert [reply.code for reply in driven.say(b"NOOP\r\n")] == [250]


@pytest.mark.parametrize("client", ["127.0.0.1", STRANGER])
@pytest.mark.parametrize("size", [1, 2**16])
@pytest.mark.parametrize("sequence", SEQUENCES, ids=repr)
def test_chunks(sequence: bytes, size: int, client: str) -> None:
    """Nothing ends a chunk but its size."""
    driven = begun(client)
    content = BEGIN + sequence + EVIL
    replies = driven.say(b"BDAT %d LAST\r\n" % len(content) + content, size)
    clean = fit(sequence)
    assert [reply.code for reply in replies] == [250 if clean or client != STRANGER else 550]
    assert all(fit(content) and b"MAIL FROM:<evil" in content for _, content in driven.messages)
    assert [reply.code for reply in driven.say(b"NOOP\r\n")] == [250]


def test_the_corpus_is_there_or_our_own_stand_alone() -> None:
    assert len(SEQUENCES) in (9, 17)
