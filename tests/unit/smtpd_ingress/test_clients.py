"""Who may come in, by the books alone."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from common.codes import TOO_MANY_CONNECTIONS, TOO_MANY_OF_CLIENT, TOO_OFTEN, Reply
from common.listener import Listener
from smtpd_ingress.clients import NETWORK, Clients
from smtpd_ingress.rates import REMEMBERED


class Books(Clients[int]):
    """With numbers for connections and a clock that stands still."""

    def __init__(self, **limits: int) -> None:
        super().__init__(Listener(**({"client_connections": 0, "client_rate": 0} | limits)), lambda: self.now)
        self.now = 0.0
        self.numbers = count()
        self.left: int | None = None

    def come(self, client: str, trusted: bool = False) -> Reply | int:
        """A refusal, or the connection's number; ``left`` says who has to leave for it."""
        if refusal := self.refusal(client, trusted):
            return refusal
        number = next(self.numbers)
        self.left = self.enter(number, client, trusted)
        return number


def test_connections_of_one_client() -> None:
    books = Books(client_connections=2)
    assert [books.come("192.0.2.1") for _ in range(3)] == [0, 1, TOO_MANY_OF_CLIENT]
    assert books.come("192.0.2.2") == 2
    books.leave(0)
    books.leave(0)
    assert [books.come("192.0.2.1") for _ in range(2)] == [3, TOO_MANY_OF_CLIENT]
    assert [books.come("192.0.2.1", trusted=True) for _ in range(3)] == [4, 5, 6]


def test_a_client_with_ipv6_has_a_network_to_itself() -> None:
    books = Books(client_connections=1)
    assert books.come("2001:db8:0:1::1") == 0
    assert books.come("2001:db8:0:1:ffff::2") == TOO_MANY_OF_CLIENT
    assert [books.come(f"2001:db8:0:{n}::1") for n in (2, 3, 4, 5)] == [1, 2, 3, TOO_MANY_OF_CLIENT]  # the /48


def test_connections_of_one_network() -> None:
    books = Books(client_connections=1)
    assert [books.come(f"192.0.2.{n}") for n in range(NETWORK + 1)] == [*range(NETWORK), TOO_MANY_OF_CLIENT]
    assert books.come("192.0.3.1") == NETWORK


def test_who_speaks_for_another_counts_for_that_one() -> None:
    books = Books(client_connections=1, client_rate=60)
    one, two = [books.come("198.51.100.1", trusted=True) for _ in range(2)]
    assert isinstance(one, int)
    assert isinstance(two, int)
    assert books.speaks_for(one, "192.0.2.1", trusted=False) is None
    assert books.come("192.0.2.1") == TOO_MANY_OF_CLIENT
    assert books.speaks_for(two, "192.0.2.1", trusted=False) == TOO_MANY_OF_CLIENT
    assert books.speaks_for(two, "192.0.2.1", trusted=True) is None
    assert books.speaks_for(one, "192.0.2.1", trusted=False) is None  # itself
    assert books.speaks_for(one, "192.0.2.2", trusted=False) is None
    assert books.speaks_for(two, "192.0.2.1", trusted=False) is None
    books.leave(one)
    books.leave(two)
    assert (len(books), books.come("192.0.2.1"), books.come("192.0.2.2")) == (0, 2, 3)
    books.leave(2)
    answers = [books.speaks_for(3, "192.0.2.1", trusted=False) for _ in range(60)]
    assert answers[-1] == TOO_OFTEN
    assert set(answers[:50]) == {None}


def test_connections_a_minute() -> None:
    books = Books(client_rate=60)
    assert [books.come("192.0.2.1") for _ in range(61)] == [*range(60), TOO_OFTEN]
    books.now += 1.01
    assert [books.come("192.0.2.1") for _ in range(2)] == [60, TOO_OFTEN]
    assert books.come("192.0.2.1", trusted=True) == 61
    books.now += 60
    assert [books.come("192.0.2.1") for _ in range(61)] == [*range(62, 122), TOO_OFTEN]


@given(st.integers(1, 200), st.lists(st.floats(0, 5), max_size=300))
def test_never_twice_the_rate_in_a_minute_nor_less_than_it(rate: int, pauses: list[float]) -> None:
    books, let_in = Books(client_rate=rate), []
    for pause in pauses:
        books.now += pause
        if books.come("192.0.2.1") != TOO_OFTEN:
            let_in.append(books.now)
        else:
            assert sum(when > books.now - 60 for when in let_in) >= rate / 2
    for start in let_in:
        assert sum(start <= when < start + 60 for when in let_in) <= 2 * rate


def test_memory_is_bounded() -> None:
    books = Books(client_rate=1)
    for number in range(2 * REMEMBERED):
        books.leave(books.come(f"{number >> 16}.{number >> 8 & 255}.{number & 255}.1"))  # type: ignore[arg-type]
    assert len(books) == len(books._connected) == 0
    assert len(books._rates) == REMEMBERED


def test_the_longest_silent_stranger_leaves() -> None:
    books = Books(max_connections=3)
    assert [books.come("192.0.2.1") for _ in range(3)] == [0, 1, 2]
    books.waits(0, trusted=False)  # it has said something
    assert (books.come("192.0.2.2"), books.left) == (3, 1)
    assert (books.come("127.0.0.1", trusted=True), books.left) == (4, 2)
    assert len(books) == 3


def test_who_waits_for_us_or_is_trusted_stays() -> None:
    books = Books(max_connections=3)
    for _ in range(3):
        books.come("192.0.2.1")
    books.works(0)  # its message is being queued
    books.waits(1, trusted=True)  # it has logged in
    assert (books.come("192.0.2.2"), books.left) == (3, 2)
    books.waits(3, trusted=True)
    assert books.come("192.0.2.2") == books.come("127.0.0.1", trusted=True) == TOO_MANY_CONNECTIONS
    books.waits(0, trusted=False)
    assert (books.come("127.0.0.1", trusted=True), books.left) == (4, 0)


def test_a_tenth_is_kept_for_the_trusted() -> None:
    books = Books(max_connections=20)
    for _ in range(30):
        books.come("192.0.2.1")
    assert len(books) == 18
    assert [books.come("127.0.0.1", trusted=True) for _ in range(2)] == [30, 31]
    assert books.left is None  # nobody had to leave for them


def test_who_was_sent_away_is_not_counted_when_it_goes_or_says_more() -> None:
    books = Books(max_connections=1, client_connections=1)
    books.come("192.0.2.1")
    assert (books.come("192.0.2.2"), books.left) == (1, 0)
    books.waits(0, trusted=False)
    books.leave(0)
    assert list(books) == [1]
    assert books.come("192.0.2.2") == TOO_MANY_OF_CLIENT
