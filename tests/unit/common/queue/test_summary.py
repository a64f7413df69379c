"""Entries counted by what they are for and what they wait for."""

import time
from collections.abc import AsyncIterator

import pytest
from support import make_entry

from common.broker import Stored
from common.entry import Entry
from common.queue.listing import Listed
from common.queue.summary import By, Group, summarise
from common.subjects import HELD, READY, SCHEDULED, Kind
from common.subjects import entry as subject

NOW = time.time()


def listed(kind: Kind, entry: Entry, *, readable: bool = True) -> Listed:
    stored = Stored(subject(kind, entry), 1, b"", {}, "2026-11-22T00:00:00Z", 0)
    return Listed(kind, stored, entry if readable else None, "", "")


async def summary(by: By, *found: Listed) -> dict[str, Group]:
    async def entries() -> AsyncIterator[Listed]:
        for one in found:
            yield one

    return await summarise(entries(), by)


async def test_states_bytes_and_age() -> None:
    ready, deferred = (make_entry("a@one.example", accepted=NOW - age, size=100) for age in (10, 30))
    held = make_entry("b@one.example", accepted=NOW - 20, size=1000)
    later = make_entry("c@one.example", accepted=NOW - 99, due=NOW + 99, size=10_000)
    found = await summary(
        By.DOMAIN,
        listed(READY, ready),
        listed(SCHEDULED, deferred.but(attempts=1, last_reply="450 later")),
        listed(HELD, held),
        listed(SCHEDULED, later),
    )
    expected = Group(ready=1, deferred=1, scheduled=1, held=1, bytes=11_200, oldest=deferred.accepted)
    assert found == {"one.example": expected}
    assert expected.count == 4


async def test_what_is_sent_later_has_no_age_before_its_time() -> None:
    later = make_entry("c@one.example", accepted=NOW - 99, due=NOW + 99)
    assert (await summary(By.DOMAIN, listed(SCHEDULED, later)))["one.example"].oldest == 0
    fired = later.but(due=NOW - 5)
    assert (await summary(By.DOMAIN, listed(READY, fired)))["one.example"].oldest == NOW - 5


@pytest.mark.parametrize(
    ("by", "names"),
    [(By.DOMAIN, ["two.example", "?", "one.example"]), (By.CAMPAIGN, ["spring", "", "?"]),
     (By.POOL, ["default", "bulk"])],
)  # fmt: skip
async def test_groups_the_largest_first(by: By, names: list[str]) -> None:
    found = [
        listed(READY, make_entry("a@one.example", pool="bulk")),
        *(listed(READY, make_entry("b@two.example", tags=("spring", "red"))) for _ in range(3)),
        listed(READY, make_entry(), readable=False),
    ]
    assert list(await summary(by, *found)) == names
