from dialogue_support import context

from common.codes import IDLE, TOO_SLOW, Reply
from smtpd_ingress.dialogue import Dialogue
from smtpd_ingress.pace import GRACE, MIN_RATE, Pace

START = b"EHLO c.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\n"
IDLE_TIME = 300.0


def test_left() -> None:
    pace = Pace(100.0)
    assert pace.left(100.0) == GRACE
    pace.taken = int(5 * MIN_RATE)
    assert pace.left(100.0 + GRACE) == 5.0
    assert pace.left(105.0 + GRACE) == pace.left(1e9) == 0.0


class Slow:
    """A client whose clock we are."""

    def __init__(self) -> None:
        self.now = 0.0
        self.dialogue = Dialogue(context(), "127.0.0.1", lambda: self.now)
        self.say(START)

    def say(self, data: bytes) -> list[Reply]:
        self.dialogue.feed(data)
        replies = []
        while action := self.dialogue.next():
            replies.append(action if isinstance(action, Reply) else self.dialogue.queued(Reply(250, "", "")))
        return replies

    def drip(self, data: bytes) -> float:
        """A piece every 4 minutes until that is too slow; the seconds it went on."""
        began = self.now
        while (patience := self.dialogue.patience(IDLE_TIME)) > 240:
            self.now += 240
            self.say(data)
            assert self.now < 1e6
        self.now += patience
        return self.now - began


def test_drops_in_data() -> None:
    slow = Slow()
    slow.say(b"DATA\r\n")
    assert slow.drip(b"x") <= GRACE + 1
    assert slow.dialogue.timed_out() == TOO_SLOW


def test_drops_in_a_chunk_and_chunks_in_drops() -> None:
    for begin, drop in ((b"BDAT 100\r\n", b"x"), (b"", b"BDAT 1\r\nx")):
        slow = Slow()
        slow.say(begin or drop)
        assert slow.drip(drop) <= GRACE + 1
        assert slow.dialogue.timed_out() == TOO_SLOW


def test_drops_in_a_chunk_that_is_refused() -> None:
    slow = Slow()
    slow.say(b"RSET\r\nBDAT 1000000\r\n")
    assert slow.drip(b"x") <= GRACE + 1


def test_a_slow_line_is_good_enough() -> None:
    slow = Slow()
    slow.say(b"DATA\r\n")
    for _ in range(1000):
        assert slow.dialogue.patience(IDLE_TIME) == IDLE_TIME
        slow.now += 1
        slow.say(b"x" * 1200)
    assert slow.say(b"\r\n.\r\n")[0].code == 250


def test_each_message_has_its_own_time_and_commands_are_only_idle() -> None:
    slow = Slow()
    for _ in range(10):
        slow.say(b"DATA\r\n")
        for _ in range(2):
            slow.dialogue.patience(IDLE_TIME)
            slow.now += 240
            slow.say(b"x")
        slow.say(b"\r\n.\r\n" + START)
        assert slow.dialogue.patience(IDLE_TIME) == IDLE_TIME
        assert slow.dialogue.timed_out() == IDLE
    slow.now += 1e6
    assert slow.dialogue.patience(IDLE_TIME) == IDLE_TIME
