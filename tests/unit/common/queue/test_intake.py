"""250 means stored; anything else means that nothing of it will be delivered."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from queue_support import CONTENT, batch, intake_of, left, row, rows, submit
from support import Nats, make_entry, until

from common.broker import Broker, NoBrokerError
from common.entry import FEEDBACK_POOL, Entry
from common.event import Type
from common.queue.intake import Intake
from common.queue.room import Room
from common.submit_error import SubmitError


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known refusals come after half a second."""
    monkeypatch.setattr(Broker, "known", 0.5)
    monkeypatch.setattr(Broker, "unknown", 5.0)


async def reply(intake: Intake, entries: list[Entry]) -> SubmitError | None:
    """What a submission is refused with."""
    try:
        await intake.submit(entries, CONTENT, row(entries[0]))
    except SubmitError as error:
        return error
    return None


async def clean(broker: Broker, intake: Intake) -> None:
    """Nothing is left, and the queue works."""
    await until(lambda: broker.client.is_connected)
    await until(lambda: not intake._cleaning)
    assert [await left(broker, stream) for stream in ("MQ_default", "EVENTS", "BODY")] == [{}, {}, {}]
    await submit(broker, make_entry())


@pytest.mark.parametrize(
    "submissions",
    [lambda: [[make_entry()]], lambda: [[make_entry()] for _ in range(8)], lambda: [batch(3)]],
    ids=["one", "many together", "several recipients"],
)
@pytest.mark.usefixtures("impatient")
async def test_broker_down_is_a_known_refusal(
    nats: Nats, broker: Broker, submissions: Callable[[], list[list[Entry]]]
) -> None:
    nats.kill()
    await until(lambda: not broker.client.is_connected)
    intake = intake_of(broker)
    replies = await asyncio.gather(*(reply(intake, entries) for entries in submissions()))
    assert {str(refused) for refused in replies} == {"451 4.3.0 Queue not available, try again later"}
    nats.start()
    await clean(broker, intake)


@pytest.mark.usefixtures("impatient")
async def test_an_atomic_batch_that_was_not_sent_is_not_sent_later(nats: Nats, broker: Broker) -> None:
    intake = intake_of(broker)
    put = intake.bodies.put

    async def put_and_die(submission: str, stored: bytes, since: float) -> object:
        placed = await put(submission, stored, since)
        nats.kill()
        await until(lambda: not broker.client.is_connected)
        return placed

    intake.bodies.put = put_and_die  # type: ignore[method-assign,assignment]
    refused = await reply(intake, batch(3))
    assert str(refused) == "451 4.3.0 Queue not available, try again later"
    nats.start()
    await clean(broker, intake)


@pytest.mark.usefixtures("impatient")
async def test_what_the_content_took_is_part_of_the_time(
    nats: Nats, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = intake_of(broker)
    put, tries = intake.bodies.put, list[object]()

    async def put_slowly(submission: str, stored: bytes, since: float) -> object:
        placed = await put(submission, stored, since)
        nats.kill()
        await asyncio.sleep(broker.known)
        return placed

    async def put_batch(messages: object) -> None:
        tries.append(messages)
        raise NoBrokerError("not connected")

    intake.bodies.put = put_slowly  # type: ignore[method-assign,assignment]
    monkeypatch.setattr(broker, "put_batch", put_batch)
    assert str(await reply(intake, batch(3))) == "451 4.3.0 Queue not available, try again later"
    assert len(tries) <= 1


@pytest.mark.usefixtures("impatient")
async def test_who_waits_behind_a_step_that_hangs_is_refused_in_its_own_time(nats: Nats, broker: Broker) -> None:
    intake = intake_of(broker)
    nats.freeze()
    first = asyncio.create_task(reply(intake, [make_entry()]))
    await until(lambda: intake._step)
    refused = await reply(intake, [make_entry()])
    assert str(refused) == "451 4.3.0 Queue not available, try again later"
    assert not first.done()
    nats.thaw()
    assert await first is None
    assert await rows(broker) == ["accepted"]
    assert len(await left(broker)) == 1


@pytest.mark.parametrize("recipients", [1, 3])
async def test_a_mistake_of_ours_purges_what_may_be_stored(broker: Broker, recipients: int) -> None:
    intake = intake_of(broker)
    entries = batch(recipients)
    unpackable = replace(row(entries[0]), text=object())  # type: ignore[arg-type]
    with pytest.raises(SubmitError) as refused:
        await intake.submit(entries, CONTENT, unpackable)
    assert refused.value.code == 451
    await clean(broker, intake)


@pytest.mark.parametrize("recipients", [1, 3])
async def test_a_row_that_finds_no_room_takes_its_entries_back(broker: Broker, recipients: int) -> None:
    config = (await broker.api("STREAM.INFO.EVENTS"))["config"]
    await broker.api("STREAM.UPDATE.EVENTS", config | {"max_bytes": 1})
    intake = intake_of(broker)
    refused = await reply(intake, batch(recipients))
    assert str(refused) == "452 4.3.1 Insufficient system storage, try again later"
    await broker.api("STREAM.UPDATE.EVENTS", config)
    await clean(broker, intake)


async def test_many_at_once_go_in_few_steps_and_all_arrive(broker: Broker) -> None:
    intake = intake_of(broker)
    mails = [batch(3) if number % 10 == 0 else [make_entry()] for number in range(100)]
    assert await asyncio.gather(*(reply(intake, entries) for entries in mails)) == [None] * 100
    assert len(await left(broker)) == 120
    assert await rows(broker) == ["accepted"] * 100
    assert (await left(broker, "EVENTS"))["e.default"] < 30


async def test_rows_without_entries_are_stored(broker: Broker) -> None:
    """A submission all of whose recipients are suppressed, alone and among others."""
    intake, told = intake_of(broker), make_entry()
    await intake.submit([], CONTENT, row(told), row(told, Type.SUPPRESSED))
    mails: list[list[Entry]] = [[], [make_entry()], batch(2), []]
    await asyncio.gather(*(intake.submit(mail, CONTENT, row(told)) for mail in mails))
    assert sorted(await rows(broker)) == ["accepted"] * 5 + ["suppressed"]
    assert len(await left(broker)) == 3
    assert len(await left(broker, "BODY")) == 1


async def test_strangers_feedback_is_refused_before_mail_is(broker: Broker) -> None:
    room = Room(broker, 1000)
    mail, feedback = Intake(broker, room), Intake(broker, room, FEEDBACK_POOL)
    back = make_entry(pool=FEEDBACK_POOL)
    room.took(600, 0)
    refused = await reply(feedback, [back])
    assert refused
    assert refused.code == 452
    assert await reply(mail, [make_entry()]) is None
