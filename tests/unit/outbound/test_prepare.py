"""Shared content is fetched, normalised and signed once; what fails is tried again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import dkim
import pytest
from queue_support import Outlet, batch, open_outlet, submit
from support import make_entry

from common.broker import Broker, UnknownOutcomeError
from common.content import store
from common.key_store import STALE, KeyStore
from common.keys import BadKeyError, public_record
from common.queue.reports import FEEDBACK
from common.queue.taken import Taken
from outbound import prepare as prepare_module
from outbound.prepare import Preparer, UnsignedError

MESSAGE = b"From: a@sender.example\r\nSubject: x\r\n\r\nhello\r\n"
PATTERN = "file://{data_dir}/{domain}.{selector}.pem"


class Kitchen:
    """A preparer whose steps are counted; its clock goes on when told."""

    def __init__(self, outlet: Outlet, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outlet, self.folder, self.now = outlet, folder, 0.0
        self.counts: Counter[str] = Counter()
        self.failure: Exception | None = None
        content = outlet.taker.content

        async def fetch(taken: Taken) -> bytes:
            self.counts["fetch"] += 1
            if self.failure:
                raise self.failure
            return await content(taken)

        monkeypatch.setattr(outlet.taker, "content", fetch)
        for name in ("normalise", "sign"):
            monkeypatch.setattr(prepare_module, name, self._counted(name, getattr(prepare_module, name)))

    def _counted(self, name: str, function: Any) -> Any:
        def counted(*args: Any) -> Any:
            self.counts[name] += 1
            return function(*args)

        return counted

    @property
    def keys(self) -> KeyStore:
        return KeyStore(PATTERN, str(self.folder), clock=lambda: self.now)

    def preparer(self, *, required: bool = False) -> Preparer:
        return Preparer(self.outlet.taker, self.keys, signature_required=required)

    async def takens(self, recipients: int = 1, content: bytes = MESSAGE) -> list[Taken]:
        entries = [make_entry()] if recipients == 1 else batch(recipients)
        await submit(self.outlet.broker, *entries, content=store(content))
        return [await self.outlet.take() for _ in range(recipients)]


@pytest.fixture
async def kitchen(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kitchen]:
    outlet = await open_outlet(broker)
    folder = tmp_path / "keys"
    folder.mkdir()
    yield Kitchen(outlet, folder, monkeypatch)
    await outlet.close()


async def test_many_recipients_cost_one_preparation(kitchen: Kitchen) -> None:
    kitchen.keys.create("sender.example", "s", "ed25519")
    preparer, takens = kitchen.preparer(), await kitchen.takens(6)
    together = await asyncio.gather(*(preparer.prepare(taken) for taken in takens[:5]))
    later = await preparer.prepare(takens[5])
    assert kitchen.counts == {"fetch": 1, "normalise": 1, "sign": 1}
    assert {id(prepared.message) for prepared in (*together, later)} == {id(later.message)}
    assert later.signatures == ("sender.example:s:ed25519-sha256",)
    assert later.message.startswith(b"DKIM-Signature:")
    assert later.message.endswith(MESSAGE)


async def test_submissions_do_not_share(kitchen: Kitchen) -> None:
    preparer = kitchen.preparer()
    for content in (MESSAGE, MESSAGE + b"other\r\n"):
        first, _ = await kitchen.takens(2, content)
        assert (await preparer.prepare(first)).message == content
    assert kitchen.counts["fetch"] == 2


async def test_a_recipient_that_gives_up_does_not_spoil_it_for_the_others(kitchen: Kitchen) -> None:
    preparer, (first, second) = kitchen.preparer(), await kitchen.takens(2)
    impatient = asyncio.create_task(preparer.prepare(first))
    await asyncio.sleep(0)  # it has begun
    patient = asyncio.create_task(preparer.prepare(second))
    impatient.cancel()
    assert (await patient).message == MESSAGE
    assert kitchen.counts["fetch"] == 1


async def test_errors_are_not_kept(kitchen: Kitchen) -> None:
    preparer, (first, second) = kitchen.preparer(), await kitchen.takens(2)
    kitchen.failure = UnknownOutcomeError("lost")
    results = await asyncio.gather(preparer.prepare(first), preparer.prepare(second), return_exceptions=True)
    assert list(results) == [kitchen.failure] * 2
    kitchen.failure = None
    assert (await preparer.prepare(first)).message == MESSAGE
    assert kitchen.counts["fetch"] == 2


async def test_what_was_used_longest_ago_makes_room(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    preparer = kitchen.preparer()
    monkeypatch.setattr(prepare_module, "CACHE_BYTES", int(len(MESSAGE) * 2.5))
    pairs = [await kitchen.takens(2) for _ in range(3)]
    for first, _ in pairs:
        await preparer.prepare(first)
    await asyncio.sleep(0)  # the third is kept, the first made room
    for _, second in pairs[1:]:
        await preparer.prepare(second)
    assert kitchen.counts["fetch"] == 3
    await preparer.prepare(pairs[0][1])
    assert kitchen.counts["fetch"] == 4
    await asyncio.sleep(0)
    assert preparer._bytes == 2 * len(MESSAGE)


LONG = b"From: a@sender.example\r\nSubject: " + b"word " * 300 + b"\r\n\r\n" + b"text " * 300 + b"\r\n"


async def test_long_lines_are_shortened_before_signing(kitchen: Kitchen) -> None:
    key = kitchen.keys.create("sender.example", "s", "rsa").load()
    (taken,) = await kitchen.takens(1, LONG)
    message = (await kitchen.preparer().prepare(taken)).message
    assert max(map(len, message.split(b"\r\n"))) <= 998
    assert b"\r\nContent-Transfer-Encoding: quoted-printable\r\n" in message
    assert dkim.verify(message, dnsfunc=lambda *_, **__: public_record(key).encode())


@pytest.mark.parametrize(
    ("content", "said", "needed"),
    [
        ("Subject: ü\r\n\r\nx\r\n", True, True),
        ("Subject: ü\r\n\r\nx\r\n", False, False),
        ("Subject: x\r\n\r\nü\r\n", True, False),
        ("Subject: x\r\n\r\nx\r\n", True, False),
        ("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: ü\r\n\r\n\r\n--b--\r\n", True, True),
        ("Content-Type: multipart/mixed; boundary=b\r\n\r\nX: ü\r\n\r\n--b\r\nX: y\r\n\r\nü\r\n--b--\r\n", True, False),
        ("Content-Type: message/rfc822\r\n\r\nX: ü\r\n\r\nx\r\n", True, True),
    ],
)
async def test_smtputf8_is_needed_for_headers(kitchen: Kitchen, content: str, said: bool, needed: bool) -> None:
    await submit(kitchen.outlet.broker, make_entry(smtputf8=said), content=store(content.encode()))
    prepared = await kitchen.preparer().prepare(await kitchen.outlet.take())
    assert prepared.smtputf8 == needed


@pytest.mark.parametrize("parts", [10, 100_000])
def test_headers_of_many_parts_are_not_all_looked_at(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends many small ones would have the worker parse for minutes; SMTPUTF8 is asked for then, as it was."""
    looked_at = 0
    parse = prepare_module.mime.parse

    def counted(*args: Any) -> Any:
        nonlocal looked_at
        looked_at += 1
        return parse(*args)

    monkeypatch.setattr(prepare_module.mime, "parse", counted)
    message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\xff\r\n" * parts
    assert prepare_module._needs_smtputf8(message) == (parts > 10)
    assert looked_at <= prepare_module.MAX_LOOKED_AT + 2


async def test_content_in_an_entry_is_not_kept(kitchen: Kitchen) -> None:
    preparer, (taken,) = kitchen.preparer(), await kitchen.takens()
    assert (await preparer.prepare(taken)).message == MESSAGE
    assert not preparer._shared


async def test_without_a_key_it_leaves_unsigned(kitchen: Kitchen) -> None:
    (taken,) = await kitchen.takens()
    prepared = await kitchen.preparer().prepare(taken)
    assert (prepared.message, prepared.signatures) == (MESSAGE, ())


@pytest.mark.parametrize("recipients", [1, 2])
async def test_without_a_key_that_is_required_it_waits_for_one(kitchen: Kitchen, recipients: int) -> None:
    preparer, (taken, *_) = kitchen.preparer(required=True), await kitchen.takens(recipients)
    with pytest.raises(UnsignedError, match="no DKIM key for sender"):
        await preparer.prepare(taken)
    kitchen.keys.create("sender.example", "s", "ed25519")
    kitchen.now += STALE
    assert (await preparer.prepare(taken)).signatures


@pytest.mark.parametrize("recipients", [1, 2])
async def test_a_broken_key_holds_mail_back_until_it_is_replaced(kitchen: Kitchen, recipients: int) -> None:
    preparer, (taken, *_) = kitchen.preparer(), await kitchen.takens(recipients)
    broken = kitchen.folder / "sender.example.s.pem"
    broken.write_text("no key")
    with pytest.raises(BadKeyError, match="is no private key"):
        await preparer.prepare(taken)
    broken.unlink()
    kitchen.keys.create("sender.example", "s", "ed25519")
    kitchen.now += STALE
    assert (await preparer.prepare(taken)).signatures


async def test_what_is_passed_on_needs_no_key_of_its_writer(kitchen: Kitchen) -> None:
    entry = make_entry(sender="", interface=FEEDBACK)
    await submit(kitchen.outlet.broker, entry, content=store(MESSAGE))
    prepared = await kitchen.preparer(required=True).prepare(await kitchen.outlet.take())
    assert (prepared.message, prepared.signatures) == (MESSAGE, ())
