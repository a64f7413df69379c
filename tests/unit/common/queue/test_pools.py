from queue_support import submit
from support import make_entry

from common.broker import Broker, Message
from common.queue import pools, streams


async def test_pools_that_the_configuration_does_not_have(broker: Broker) -> None:
    await streams.ensure(broker, ["default", "bulk", "empty"], 10**9)
    assert await pools.known(broker, ["default"]) == ["default", "bulk", "empty"]
    assert await pools.known(broker, ["new", "empty"]) == ["new", "empty", "bulk", "default"]
    await submit(broker, make_entry())
    await broker.put(_message("q", 1))
    await broker.put(_message("h", 2))
    assert await pools.left_behind(broker, ["default"]) == {"bulk": 2}
    assert await pools.left_behind(broker, ["default", "bulk"]) == {}


def _message(kind: str, number: int) -> Message:
    return Message(f"{kind}.bulk.1.1.b.-.01k80104jjg883qldg58.{number}", b"x")
