"""Rules change while everything runs: file and KV are read again, what is wrong changes nothing."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support import Nats, until

from common.broker import Broker, BrokerFailure, Message
from common.config import Config
from common.config_file import load
from common.policies import kv
from common.policies.policies import MAX_CACHE, Policies


def write(file: Path, text: str) -> None:
    """As editors do: another inode, so that a change within one tick of the clock is one too."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


def connections(policies: Policies, domain: str = "a.example") -> list[tuple[int, str]]:
    policy = policies.policy(domain, [f"mx.{domain}"], f"mx.{domain}", "default")
    return [(limit.amount, limit.origin) for limit in policy.limits]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "postjet.toml", "[[policies]]\nconnections = 3")
    return tmp_path / "postjet.toml"


@pytest.fixture
def policies(file: Path) -> Policies:
    return Policies.load(*load(str(file), {}))


def test_an_answer_is_kept(policies: Policies) -> None:
    def ask(site: str = "s", pool: str = "default", source: str = "") -> object:
        return policies.policy("a.example", ["mx"], site, pool, source)

    assert ask() is ask()
    assert len({id(answer) for answer in (ask(), ask("t"), ask(pool="bulk"), ask(source="192.0.2.1"))}) == 4


def test_answers_do_not_fill_the_memory() -> None:
    policies = Policies.load(Config(), None)
    for i in range(MAX_CACHE + 10):
        policies.policy(f"d{i}.example", ["mx"], "s", "default")
    assert len(policies._cache) == 10


async def test_a_changed_file_is_in_force(policies: Policies, file: Path, broker: Broker) -> None:
    assert connections(policies) == [(3, f"{file}:1")]
    assert not await policies.look(broker)
    general = "[delivery]\nconnections = 8\n\n[[policies]]\nmx = '*'\nconnections = 4\n"
    write(file, general + "[[policies]]\ndomain = 'b.example'\nconnections = 5")
    assert await policies.look(broker)
    assert policies.revision == 2
    assert connections(policies) == [(4, f"{file}:4")]
    assert connections(policies, "b.example") == [(4, f"{file}:4"), (5, f"{file}:7")]
    assert not await policies.look(broker)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[policies]]\nconections = 4", "postjet.toml:1: unknown key policies[0].conections"),
        ("[[policies]]\nprovider = 'x'\nconnections = 4", "postjet.toml:1: policies.provider: 'x' is no provider"),
        ("[[policies]]\nconnections = ", "no valid TOML"),
        ("[nats]\nmax_store = 'lots'", "nats.max_store: 'lots' is no size"),
    ],
)
async def test_a_wrong_file_changes_nothing(
    policies: Policies, file: Path, broker: Broker, text: str, said: str
) -> None:
    write(file, text)
    with capture_logs() as lines:
        assert not await policies.look(broker)
        assert not await policies.look(broker)  # said once
    (line,) = lines
    assert line["event"].startswith("policies: the rules in force stay: ")
    assert said in line["event"]
    assert connections(policies) == [(3, f"{file}:1")]
    write(file, "[[policies]]\nconnections = 6")
    assert await policies.look(broker)
    assert connections(policies) == [(6, f"{file}:1")]


async def test_what_changed_after_the_configuration_was_read_is_seen(file: Path, broker: Broker) -> None:
    config, path = load(str(file), {})
    write(file, "[[policies]]\nconnections = 7")
    policies = Policies.load(config, path)
    assert await policies.look(broker)
    assert connections(policies) == [(7, f"{file}:1")]


async def test_other_changes_of_the_file_are_none(policies: Policies, file: Path, broker: Broker) -> None:
    write(file, "[[policies]]\nconnections = 3\n\n[log]\nlevel = 'debug'")
    assert not await policies.look(broker)
    assert policies.revision == 1


async def test_a_file_that_is_gone_changes_nothing(policies: Policies, file: Path, broker: Broker) -> None:
    file.unlink()
    with capture_logs() as lines:
        assert not await policies.look(broker)
    assert "no such configuration file" in lines[0]["event"]
    assert connections(policies)[0][0] == 3


async def test_kv_lies_over_the_file(policies: Policies, file: Path, broker: Broker) -> None:
    await kv.put(broker, "slow", {"connections": 1})
    await kv.put(broker, "b", {"domain": "b.example", "connections": 2})
    assert await policies.look(broker)
    assert connections(policies, "b.example") == [(1, "KV slow"), (2, "KV b")]
    await kv.put(broker, "slow", {"connections": 2})
    assert await policies.look(broker)
    assert connections(policies) == [(2, "KV slow")]
    assert await kv.remove(broker, "slow")
    assert not await kv.remove(broker, "slow")
    assert not await kv.remove(broker, "never")
    assert await policies.look(broker)
    assert connections(policies) == [(3, f"{file}:1")]
    assert await kv.entries(broker) == {"b": b'{"domain": "b.example", "connections": 2}'}
    write(file, "[[policies]]\nconnections = 6")
    assert await policies.look(broker)
    assert connections(policies, "b.example") == [(6, f"{file}:1"), (2, "KV b")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "KV bad: "),
        (b"[]", "KV bad: "),
        (b"\xff", "KV bad: "),
        (b'{"connections": 0}', "KV bad: connections: Input should be greater"),
        (b'{"conections": 1}', "KV bad: unknown key conections; did you mean connections?"),
        (b'{"provider": "gogle", "connections": 1}', "KV bad: provider: 'gogle' is no provider; did you mean"),
    ],
)
async def test_a_wrong_entry_is_left_out(policies: Policies, broker: Broker, body: bytes, said: str) -> None:
    await kv.put(broker, "good", {"connections": 1})
    await broker.put(Message("$KV.policies.bad", body))
    with capture_logs() as lines:
        assert await policies.look(broker)
    assert said in lines[0]["event"]
    assert connections(policies) == [(1, "KV good")]


async def test_an_entry_whose_provider_is_gone_is_left_out(policies: Policies, file: Path, broker: Broker) -> None:
    write(file, "[[providers]]\nname = 'p'\nmx = '*.a.example'")
    await kv.put(broker, "of-p", {"provider": "p", "connections": 1})
    await policies.look(broker)
    assert (1, "KV of-p") in connections(policies)
    write(file, "")
    await policies.look(broker)
    assert connections(policies) == [(20, "[delivery]")]


async def test_reply_rules_change_too(policies: Policies, file: Path, broker: Broker) -> None:
    assert not policies.replies.match("", 450, "", "zebra")
    write(file, "[[replies]]\nname = 'z'\ntext = 'zebra'\naction = 'suspend'\nfor = '1h'")
    await policies.look(broker)
    assert [rule.origin for rule in policies.replies.match("", 450, "", "zebra")] == [f"{file}:1"]


async def test_a_changed_file_is_in_force_while_the_broker_is_away(
    policies: Policies, file: Path, nats: Nats, broker: Broker
) -> None:
    await kv.put(broker, "b", {"domain": "b.example", "connections": 2})
    await policies.look(broker)
    nats.kill()
    write(file, "[[policies]]\nconnections = 6")
    with pytest.raises(BrokerFailure):
        await policies.look(broker)
    assert connections(policies, "b.example") == [(6, f"{file}:1"), (2, "KV b")]


async def test_it_watches_and_outlives_a_broker_that_is_away(policies: Policies, nats: Nats, broker: Broker) -> None:
    await kv.put(broker, "slow", {"connections": 1})
    watching = asyncio.create_task(policies.watch(broker, every=0.01))
    try:
        await until(lambda: policies.revision == 2)
        nats.kill()
        nats.start()
        await broker.store([Message("$KV.policies.slow", b'{"connections": 2}')])
        await until(lambda: policies.revision == 3)
        assert connections(policies) == [(2, "KV slow")]
        assert not watching.done()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
