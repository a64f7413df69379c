"""A long list goes in by parts, and whatever is wrong with a part, the rest follows."""

import io

import pytest

from common.broker import Broker
from common.suppression import store
from common.suppression.suppression import Source
from master import suppression_import
from master.suppression_csv import Defaults, read
from master.suppression_import import TOLD, Import

DEFAULTS = Defaults("@s.example", Source.MANUAL, "", "me@here")


async def test_a_list_in_parts(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suppression_import, "CHUNK", 30)
    wrong = "".join(f"nobody {i}\n" for i in range(40))  # more than a part
    people = "".join(f"r{i % 50}@x.example\n" for i in range(70))
    say = io.StringIO()
    done = Import(broker, say)
    await done.run(read(io.StringIO(f"email\n{wrong}{people}"), DEFAULTS))
    assert (done.rows, done.added, done.there, done.refused) == (70, 50, 20, 40)
    assert len({one.recipient async for one in store.every(broker)}) == 50
    told = capsys.readouterr().err.splitlines()
    assert len(told) == TOLD + 1
    assert told[0] == "line 2: 'nobody 0': no domain; left out"
    assert "50 of 70 added" in say.getvalue()
