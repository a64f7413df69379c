"""Rates and quotas over several processes, their ends and their deaths, with the real broker."""

import asyncio
import contextlib
import random

import pytest
from support import Nats, until
from users_support import user

from common.broker import Broker, BrokerFailure
from common.codes import LOCAL_ERROR, Reply
from common.users import usage
from common.users.usage import bounds
from common.users.user import User
from smtpd_ingress import quota as module
from smtpd_ingress.quota import Quotas, Reservation


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def sent(quotas: Quotas, who: User, recipients: int = 1) -> int:
    """How many mails get through until one is refused."""
    count = 0
    while isinstance(await quotas.reserve(who, recipients), Reservation):
        count += 1
    return count


async def used(broker: Broker, who: User, clock: Clock) -> int:
    counted, _ = await usage.read(broker, who.name)
    return counted.used(bounds(who)[0], clock())


async def refusal(quotas: Quotas, who: User, recipients: int = 1) -> str:
    reply = await quotas.reserve(who, recipients)
    assert isinstance(reply, Reply)
    return str(reply)


async def test_a_user_without_bounds(broker: Broker) -> None:
    assert isinstance(await Quotas(broker).reserve(user(), 1000), Reservation)
    assert await broker.subjects("KV_usage", ">") == {}


async def test_a_quota_is_all_for_one_process(broker: Broker, clock: Clock) -> None:
    quotas, tim = Quotas(broker, clock), user(quota=1000)
    assert await sent(quotas, tim, 3) == 333
    assert await sent(quotas, tim) == 1
    assert await refusal(quotas, tim) == (
        "452 4.7.1 Too many recipients: 1000/d recipients is the limit, try again in 1d"
    )
    clock.now += 25.2 * 3600
    assert await sent(quotas, tim, 1000) == 1


async def test_one_mail_beyond_the_quota_is_refused_for_ever(broker: Broker, clock: Clock) -> None:
    quotas, tim = Quotas(broker, clock), user(quota=100)
    assert await refusal(quotas, tim, 101) == (
        "550 5.7.1 Too many recipients: 101, where user tim may have 100/d recipients"
    )
    assert isinstance(await quotas.reserve(tim, 100), Reservation)


async def test_rates(broker: Broker, clock: Clock) -> None:
    quotas, tim = Quotas(broker, clock), user(rate=["10/m", "15/h"])
    assert await sent(quotas, tim, 1000) == 10
    assert await refusal(quotas, tim) == "450 4.7.1 Too many mails: 10/m mails is the limit, try again in 1m"
    clock.now += 63
    assert await sent(quotas, tim) == 5
    assert "15/h mails is the limit" in await refusal(quotas, tim)


async def test_several_processes_share_it_to_the_last_one(broker: Broker, clock: Clock) -> None:
    """What is left in the end is what the others hold."""
    processes, tim = [Quotas(broker, clock) for _ in range(3)], user(quota=2000)

    async def work(quotas: Quotas) -> int:
        return await sent(quotas, tim)

    mails = await asyncio.gather(*(work(quotas) for quotas in processes for _ in range(4)))
    assert sum(mails) == 2000  # chunks shrink to 1, and each process has used its own up


async def test_what_others_hold_is_a_hundredth_at_most(broker: Broker, clock: Clock) -> None:
    one, other, tim = Quotas(broker, clock), Quotas(broker, clock), user(quota=1000)
    assert isinstance(await other.reserve(tim, 1), Reservation)
    assert 989 <= await sent(one, tim) < 999
    await other.close()  # which gives back what it held
    assert await sent(one, tim) + await used(broker, tim, clock) == 1000 + 10
    assert await used(broker, tim, clock) == 1000


async def test_towards_the_end_little_is_held(broker: Broker, clock: Clock) -> None:
    tim = user(quota=1000)
    for recipients, taken in ((500, 510), (480, 991), (1, 992)):
        assert isinstance(await Quotas(broker, clock).reserve(tim, recipients), Reservation)
        assert await used(broker, tim, clock) == taken


async def test_a_restart_forgets_nothing(broker: Broker, clock: Clock) -> None:
    tim = user(quota=1000)
    killed, stopped = Quotas(broker, clock), Quotas(broker, clock)
    for quotas in (killed, stopped):
        for _ in range(100):
            assert isinstance(await quotas.reserve(tim, 1), Reservation)
    await stopped.close()
    await stopped.close()
    left = await sent(Quotas(broker, clock), tim)
    assert 790 <= left <= 800


async def test_a_mail_that_was_not_queued(broker: Broker, clock: Clock) -> None:
    quotas, tim = Quotas(broker, clock), user(quota=10, rate="5/m")
    reserved = await quotas.reserve(tim, 10)
    assert isinstance(reserved, Reservation)
    assert "10/d" in await refusal(quotas, tim)
    reserved.give_back()
    reserved.give_back()
    assert await sent(quotas, tim, 2) == 5
    clock.now += 4000  # in another slot of the day it goes back with the next reservation
    last = await quotas.reserve(user(quota=20), 10)
    assert isinstance(last, Reservation)
    clock.now += 5000
    last.give_back()
    assert await sent(quotas, user(quota=20)) == 10


async def test_slots_that_end_are_given_back(broker: Broker, clock: Clock) -> None:
    quotas, tim = Quotas(broker, clock), user(rate="100/m")
    for _ in range(19):  # one mail in each slot, of which each takes a chunk of six
        assert isinstance(await quotas.reserve(tim, 1), Reservation)
        clock.now += 3
    assert await used(broker, tim, clock) <= 19 + 6


async def test_a_quota_that_is_raised(broker: Broker, clock: Clock) -> None:
    quotas = Quotas(broker, clock)
    assert await sent(quotas, user(quota=10)) == 10
    assert await sent(quotas, user(quota=15)) == 5
    assert await sent(quotas, user(quota=5)) == 0


@pytest.mark.parametrize("seed", range(3))
async def test_never_more_whatever_happens(broker: Broker, clock: Clock, seed: int) -> None:
    """Processes reserve, give back, stop and are killed while time goes by."""
    random_, tim = random.Random(seed), user(quota=200, rate=["60/h"])
    processes = [Quotas(broker, clock) for _ in range(3)]
    sent: list[tuple[float, int]] = []
    for _ in range(400):
        number, what = random_.randrange(3), random_.random()
        if what < 0.03:
            if what < 0.02:
                await processes[number].close()
            processes[number] = Quotas(broker, clock)
            continue
        recipients = random_.choice((1, 1, 2, 10))
        reserved = await processes[number].reserve(tim, recipients)
        if isinstance(reserved, Reservation):
            if what < 0.2:
                reserved.give_back()
            else:
                sent.append((clock.now, recipients))
        clock.now += random_.choice((0, 10, 100, 1000, 5000))
    for start, _ in sent:
        assert sum(n for at, n in sent if start <= at < start + 86_400) <= 200
        assert sum(1 for at, _ in sent if start <= at < start + 3600) <= 60
    day = max(sum(n for at, n in sent if start <= at < start + 86_400) for start, _ in sent)
    assert day > 150  # and not much less


async def test_without_a_broker(broker: Broker, nats: Nats, clock: Clock) -> None:
    quotas, tim = Quotas(broker, clock), user(quota=1000)
    assert isinstance(await quotas.reserve(tim, 1), Reservation)
    nats.kill()
    assert await sent(quotas, tim) == 10  # of the chunk
    assert await quotas.reserve(tim, 1) == LOCAL_ERROR
    nats.start()

    async def is_back() -> bool:
        with contextlib.suppress(BrokerFailure):
            return bool(await usage.read(broker, tim.name))
        return False

    await until(is_back)
    left = await sent(quotas, tim)
    assert left == 1000 - 11


async def test_nobody_waits_in_line_for_ever(broker: Broker, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each before it waits until the broker does not answer: together that is more than the client does."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    quotas, tim, go_on = Quotas(broker, clock), user(quota=1000), asyncio.Event()

    async def silent(*_: object) -> None:
        await go_on.wait()

    with monkeypatch.context() as patched:
        patched.setattr(usage, "read", silent)
        assert await asyncio.gather(*(quotas.reserve(tim, 1) for _ in range(5))) == [LOCAL_ERROR] * 5
    assert isinstance(await quotas.reserve(tim, 1000), Reservation)
