"""Users in KV, and how processes follow them."""

import asyncio

import pytest
from structlog.testing import capture_logs
from support import Nats, until
from users_support import user

from common.broker import Broker, BrokerError, Message
from common.ids import token
from common.users import store
from common.users.users import Users


async def put(broker: Broker, *names: str, **values: object) -> None:
    for name in names:
        _, sequence = await store.find(broker, name)
        await store.put(broker, user(name, **values), sequence)


async def remove(broker: Broker, name: str) -> None:
    _, sequence = await store.find(broker, name)
    await store.remove(broker, name, sequence)


async def test_changes(broker: Broker) -> None:
    users, changes = Users(), list[int]()
    users.on_change = lambda: changes.append(len(users))
    await put(broker, "tim", "tom@a.example")
    await users.start(broker)
    assert users.get("tim") == user("tim")
    assert users.get("tom@a.example")
    assert not users.get("Tim")
    assert not users.get("no name")
    assert not await users.look(broker)
    await put(broker, "tim", quota=5)
    await put(broker, "tam")
    await remove(broker, "tom@a.example")
    assert await users.look(broker)
    assert (users.get("tim"), users.get("tom@a.example")) == (user("tim", quota=5), None)
    await put(broker, "tom@a.example")
    assert await users.look(broker)
    assert len(users) == 3
    assert changes == [2, 2, 3]


async def test_a_change_is_seen_while_it_is_watched(broker: Broker) -> None:
    """Twice a second is asked, so it takes half a second at most, and what asking takes."""
    processes = [Users(), Users()]
    for users in processes:
        await users.start(broker)
    seen = asyncio.Event()
    processes[1].on_change = seen.set
    tasks = [asyncio.create_task(users.watch(broker)) for users in processes]
    await put(broker, "tim")
    await asyncio.wait_for(seen.wait(), 10)
    assert processes[1].get("tim")
    await until(lambda: processes[0].get("tim"))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_watching_survives_the_broker(broker: Broker, nats: Nats) -> None:
    await put(broker, "tim")
    users = Users()
    await users.start(broker)
    task = asyncio.create_task(users.watch(broker, 0.05))
    nats.kill()
    await asyncio.sleep(0.1)
    assert users.get("tim")
    nats.start()
    other = nats.broker()
    await other.connect()
    await until(lambda: _put_tom(other))
    await until(lambda: users.get("tom"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await other.close()


async def _put_tom(broker: Broker) -> bool:
    await put(broker, "tom")
    return True


async def test_many(broker: Broker) -> None:
    tim = user("tim")
    await broker.put(Message("$KV.users.x", b"no user"))
    for number in range(600):  # more than a page
        await store.put(broker, tim.model_copy(update={"name": f"u{number}"}), 0)
    users = Users()
    await users.start(broker)
    assert len(users) == 600


async def test_only_one_of_two_writers(broker: Broker) -> None:
    await put(broker, "tim")
    _, sequence = await store.find(broker, "tim")
    await store.put(broker, user("tim", quota=1), sequence)
    for write in (store.put(broker, user("tim", quota=2), sequence), store.remove(broker, "tim", sequence)):
        with pytest.raises(BrokerError) as error:
            await write
        assert error.value.code in BrokerError.WRONG_SEQUENCE
    found, _ = await store.find(broker, "tim")
    assert found == user("tim", quota=1)


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b"{}", b'{"name": "tim", "password_hash": "$argon2id$secret"}'])
async def test_what_cannot_be_read_may_not_log_in(broker: Broker, body: bytes) -> None:
    await put(broker, "tim", "tom")
    users = Users()
    await users.start(broker)
    await broker.put(Message(f"$KV.users.{token('tim')}", body))
    with capture_logs() as lines:
        assert await users.look(broker)
    assert users.get("tim") is None
    assert users.get("tom")
    assert ["cannot be read and may not log in" in line["event"] for line in lines] == [True]
    assert "secret" not in repr(lines)


async def test_unknown_users_look_the_same_to_all_processes(broker: Broker) -> None:
    one, other = Users(), Users()
    await asyncio.gather(one.start(broker), other.start(broker))
    assert one.verifier("nobody") == other.verifier("nobody")
    assert len(one) == 0
    await put(broker, "tim")
    await one.look(broker)
    assert one.verifier("tim") == user("tim").verifier


async def test_a_store_that_was_put_back(broker: Broker) -> None:
    await put(broker, "tim", "tom")
    users = Users()
    await users.start(broker)
    before = users.verifier("nobody")
    await broker.api("STREAM.DELETE.KV_users")
    await broker.on_connect[0]()  # which makes it again
    assert await users.look(broker)
    assert (len(users), users.verifier("nobody") == before) == (0, False)
    await put(broker, "tim")
    assert await users.look(broker)
    assert len(users) == 1
