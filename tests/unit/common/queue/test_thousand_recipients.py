"""A mail for 1,000 recipients: content once, then all its entries in one atomic step, then one row."""

from collections.abc import Awaitable, Callable

import pytest
from queue_support import batch, intake_of, left, row

from common.broker import Broker, Message
from common.queue.intake import STEP_MESSAGES


async def test_one_step(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    puts: list[list[str]] = []

    def seen(put: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def putting(what: Message | list[Message], *rest: float) -> object:
            puts.append([one.subject for one in what] if isinstance(what, list) else [what.subject])
            return await put(what, *rest)

        return putting

    monkeypatch.setattr(broker, "put", seen(broker.put))
    monkeypatch.setattr(broker, "put_batch", seen(broker.put_batch))
    entries = batch(STEP_MESSAGES)
    await intake_of(broker).submit(entries, b"\1" + bytes(4000), row(entries[0]))
    assert [(one[0][0], len(one)) for one in puts] == [("b", 1), ("q", 1000), ("e", 1)]
    assert len(await left(broker)) == 1000
