"""What explain says of what is known, on the page and in JSON, with and without a running instance."""

import asyncio
import json
import os
import re
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from control_support import give, make_order, moving
from queue_support import submit
from scenario_support import postjet, said_once
from support import make_entry, until

from common.broker import Broker
from common.config import Config, Dns
from common.controls.control import Match
from common.controls.watch import MET
from common.limits.limit import Limit, What
from common.limits.owner import Use
from common.policies.holds import Hold
from common.policies.policy import Policy
from common.policies.rules import SCALARS
from common.queue import listing
from common.queue.summary import Group
from common.workers import Said, SiteNow, Waiting
from master import explain
from master.demo.dns_server import DnsServer
from master.explain import Host, Known
from master.explain_json import as_json
from master.explain_text import page
from master.reasons import reasons
from outbound.failure import temporary
from outbound.resolver import Record
from outbound.routing import Route

NOW = time.time()
SLOTS = Limit("site:mx.a.test", What.CONNECTIONS, 2, 0, "[delivery]")
RATE = Limit("provider:big", What.MESSAGES, 10, 60.0, "postjet.toml:7")
HOLD = Hold("provider:big", "rate", NOW - 60, NOW + 3600, "busy", "postjet.toml:9", "421 Busy", 10, 60)


def known(**changes: Any) -> Known:
    """A domain about whose mail there is nothing special."""
    origins = {"retry": "postjet.toml:3", "retry_first": "[delivery]", "tls": "KV x"}
    policy = Policy(provider="big", limits=(SLOTS, RATE), retry=(60.0, 3600.0), tls="required", origins=origins)
    route = Route("mx.a.test", (Record(10, "mx.a.test"),), 25)
    values: dict[str, Any] = {
        "config": Config(hostname="us.test"), "domain": "a.test", "pool": "default", "policies": {"": policy},
        "route": route, "hosts": [Host(10, "mx.a.test", ("192.0.2.1", "2001:db8::1"))], "queued": Group(),
        "said": said(),
    }  # fmt: skip
    return Known(**values | changes)


def said(**changes: Any) -> Said:
    values = {"live": {"default": {"default.w0"}}, "uses": {SLOTS: Use(1, 0, 0.0), RATE: Use(0, 0, 0.0)}}
    return Said(**values | changes)


def site(down: str = "", until: float = 0.0, busy: int = 0) -> SiteNow:
    return SiteNow(worker="default.w0", site="mx.a.test", source="", busy=busy, idle=0, down_until=until, down=down)


def kinds(one: Known) -> list[str]:
    return [reason.kind for reason in reasons(one)]


def test_the_page() -> None:
    one = known(said=said(sites=[site(busy=1), site()]))
    assert list(page(one, reasons(one))) == [
        "domain     a.test",
        "MX         10 mx.a.test  192.0.2.1 2001:db8::1",
        "site       mx.a.test",
        "provider   big",
        "pool       default, from the address that the system chooses, as us.test",
        "connected  1 in use, 0 idle, by default.w0",
        "queued     0 ready, 0 deferred, 0 scheduled, 0 held",
        "",
        "limits:",
        "  at most  what         of              now       from",
        "  2        connections  site:mx.a.test  1 in use  [delivery]",
        "  10/m     messages     provider:big    free      postjet.toml:7",
        "",
        "other values:",
        "  retry       1m, 1h         postjet.toml:3",
        "  tls         required       KV x",
        "  all others  their default",
        "",
        "held back by:",
        "  nothing",
    ]


def test_what_is_not_known_is_said_to_be_so() -> None:
    one = known(missing="nothing runs on ./var", said=Said(), queued=None)
    text = "\n".join(page(one, reasons(one)))
    assert "held back by:\n  nothing that is known\n\nWhat workers, queue" in text
    assert text.count("not known") == 3
    assert "nothing runs on ./var" in text
    assert "queued" not in text


def test_reasons() -> None:
    assert kinds(known()) == []
    assert kinds(known(failure=temporary("4.4.3", "DNS failed", phase="dns", reason="dns"))) == ["route"]
    assert kinds(known(said=Said())) == ["workers"]
    assert kinds(known(said=said(silent={"default.w0"}))) == ["workers"]
    assert kinds(known(holds=[HOLD])) == ["hold"]
    assert kinds(known(said=said(sites=[site("no answer", NOW + 60), site("no answer", NOW + 90), site()]))) == ["site"]
    assert kinds(known(said=said(uses={SLOTS: Use(2, 1, 0.0)}))) == ["limit"]
    assert kinds(known(said=said(uses={SLOTS: Use(2, 0, 0.0)}))) == []
    assert kinds(known(said=said(uses={RATE: Use(0, 0, 9.0)}))) == []  # nothing would go anyway
    assert kinds(known(said=said(uses={RATE: Use(0, 0, 9.0)}), queued=Group(ready=1))) == ["limit"]
    assert kinds(known(queued=Group(held=2))) == ["held"]


def test_orders() -> None:
    all_of_it, some = make_order(match=Match(domain="a.test")), make_order("stop")
    one = known(orders=[all_of_it, some])
    assert [reason.text for reason in reasons(one)] == [
        f"paused by ann@desk: wrong price (order {all_of_it.id}); 0 of what is queued"
    ]
    held = {"orders": [some], "ordered": Counter({some.id: 2}), "queued": Group(held=3)}
    assert [reason.text for reason in reasons(known(**held))] == [
        f"mail with campaign=spring is stopped by ann@desk: wrong price (order {some.id}); 2 of what is queued",
        "1 set aside; 'postjet queue --held' says why",
    ]
    uncounted = known(orders=[some], queued=Group(held=3), exact=False)
    assert [reason.text for reason in reasons(uncounted)] == [
        f"mail with campaign=spring is stopped by ann@desk: wrong price (order {some.id})"
    ]


async def test_orders_are_found_and_what_they_hold_is_counted(broker: Broker) -> None:
    theirs = [Match(domain="b.test"), Match(pool="bulk"), Match(domain="a.test", pool="bulk"), Match(tag="x")]
    others = [await give(broker, match=match) for match in theirs]
    ours = [await give(broker, match=Match(domain="a.test")), await give(broker)]
    async with DnsServer() as dns, moving(broker):
        config = Config(hostname="us.test", dns=Dns(nameservers=[dns.address]))
        for name, tags in (("a", ()), ("a", ("spring",)), ("b", ("spring",))):
            await submit(broker, make_entry(f"x@{name}.test", tags=tags))
        for order in ours:
            await broker.publish(f"{MET}.{order.id}", b"")
        await until(lambda: _all_held(broker))
        found = await explain.find(config, None, "a.test", "default", broker)
    assert {order.id for order in found.orders} == {order.id for order in (*ours, others[3])}
    assert found.queued
    held = dict(found.ordered)  # the mover works on both at the same time
    assert (found.queued.held, sum(held.values()), held.keys() <= {order.id for order in ours}) == (2, 2, True)
    told = [reason for reason in reasons(found) if reason.kind in ("order", "held")]
    assert [reason.text for reason in told if f"{ours[0]}; " in reason.text]
    assert {reason.kind for reason in told} == {"order"}


async def _all_held(broker: Broker) -> bool:
    return [listed.kind async for listed in listing.entries(broker, "default")] == ["h"] * 3


def test_how_long() -> None:
    line = Waiting(
        pool="default", worker="default.w0", site="mx.a.test", source="", waits_for="its turn", since=NOW - 600,
        until=0.0, parked=5, domains={"a.test": 2, "b.test": 3},
    )  # fmt: skip
    failure = temporary("4.4.3", "DNS failed", phase="dns", reason="dns")
    one = known(holds=[HOLD], failure=failure, said=said(lines=[line]))
    text = "\n".join(page(one, reasons(one)))
    assert "451 4.4.3 DNS failed; mail is deferred, the first time for 1m, and given up after 5d" in text
    assert "provider:big held to 10/m by reply rule busy (postjet.toml:9): 421 Busy (" in text
    assert re.search(r"421 Busy \(since \d+m, for another [45]\dm,", text)  # the tests take their time
    assert re.search(r"2 deliveries wait in default.w0 for its turn \(since [12]\dm\)", text)
    values = as_json(one, reasons(one))
    assert [reason["kind"] for reason in values["reasons"]] == ["route", "hold"]
    assert values["reasons"][1]["since"] < values["reasons"][1]["until"]
    assert (values["waiting"][0]["parked"], values["waiting"][0]["until"]) == (2, None)


def test_json() -> None:
    values = json.loads(json.dumps(as_json(known(), [])))
    assert values["hosts"] == [{"preference": 10, "name": "mx.a.test", "addresses": ["192.0.2.1", "2001:db8::1"]}]
    assert values["limits"] == [
        {"key": "site:mx.a.test", "what": "connections", "amount": 2, "per": None, "origin": "[delivery]",
         "now": {"wait": 0.0, "used": 1, "waiting": 0}},
        {"key": "provider:big", "what": "messages", "amount": 10, "per": 60.0, "origin": "postjet.toml:7",
         "now": {"wait": 0.0}},
    ]  # fmt: skip
    assert values["values"].keys() == set(SCALARS)
    assert values["values"]["tls"] == {"value": "required", "origin": "KV x"}
    assert values["queued"] == {"ready": 0, "deferred": 0, "scheduled": 0, "held": 0, "exact": True}


async def test_without_a_running_instance(tmp_path: Path) -> None:
    async with DnsServer() as dns:
        dns.zone.add("a.test", "MX", "20 mx2.test", "10 mx1.test")
        dns.zone.add("mx1.test", "A", "192.0.2.1")
        dns.zone.add("fails.test", "MX", "10 mx1.test")
        for name in ("fails.test", "b.test"):
            dns.misbehave(name, rcode="SERVFAIL")
        config = tmp_path / "postjet.toml"
        config.write_text(
            f'hostname = "us.test"\ndata_dir = "{tmp_path}/var"\n[dns]\nnameservers = ["{dns.address}"]\n'
            '[pools.bulk]\nsource_addresses = ["127.0.0.2", "127.0.0.3"]\nehlo = "bulk.test"\n'
            '[pools.six]\nsource_addresses = ["::1"]\n'
            '[[policies]]\nsource = "127.0.0.3"\nconnections = 4\n'
            '[[policies]]\ndomain = "a.test"\nrate = "5/s"\n[[policies]]\ndomain = "b.test"\nrate = "6/s"\n'
        )

        async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return await postjet("explain", *arguments, config=config)

        page_, fails_, limited_, bulk_, six_, wrong, pool = await asyncio.gather(
            run("x@A.test"),
            run("fails.test", "--json"),
            run("b.test", "--pool", "bulk", "--json"),
            run("a.test", "--pool", "bulk", "--json"),
            run("a.test", "--pool", "six", "--json"),
            run("a_b..test"),
            run("a.test", "--pool", "x"),
        )
    assert (page_.returncode, page_.stderr) == (0, "")
    assert "MX      10 mx1.test  192.0.2.1\n        20 mx2.test  (no address)\n" in page_.stdout
    assert f"  5/s      messages     domain:a.test           not known  {config}:13\n" in page_.stdout
    assert f"nothing runs on {tmp_path}/var" in page_.stdout
    fails = json.loads(fails_.stdout)
    assert (fails["failure"]["reason"], fails["site"], fails["limits"]) == ("dns", None, [])
    [reason] = fails["reasons"]
    assert "mail is deferred, the first time for 5m, and given up after 5d" in reason["text"]
    limited = json.loads(limited_.stdout)
    assert [limit["key"] for limit in limited["limits"]] == ["domain:b.test", "source:127.0.0.3"]
    bulk, six = json.loads(bulk_.stdout), json.loads(six_.stdout)
    assert (bulk["sources"], bulk["ehlo"], bulk["failure"]) == (["127.0.0.2", "127.0.0.3"], "bulk.test", None)
    assert [limit["key"] for limit in bulk["limits"]] == [
        "site:mx1.test,mx2.test", "domain:a.test", "source:127.0.0.3",
    ]  # fmt: skip
    assert (six["failure"]["reason"], six["hosts"][0]["addresses"]) == ("source", [])
    assert "'a_b..test' is no domain" in said_once(wrong, os.EX_USAGE)
    assert "'x' is no pool of the configuration; there are default" in said_once(pool, os.EX_USAGE)


async def test_what_is_queued_is_counted_or_told_about(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async with DnsServer() as dns:
        config = Config(hostname="us.test", dns=Dns(nameservers=[dns.address]))
        for due in (0, 0, time.time() + 3600):
            await submit(broker, make_entry("x@a.test", due=due))
        await submit(broker, make_entry("x@b.test"))
        counted = await explain.find(config, None, "a.test", "default", broker)
        monkeypatch.setattr(explain, "MAX_READ", 2)
        told = await explain.find(config, None, "a.test", "default", broker)
    assert counted.queued
    assert told.queued
    assert (counted.queued.ready, counted.queued.deferred, counted.queued.scheduled, counted.exact) == (2, 0, 1, True)
    assert (told.queued.ready, told.queued.deferred, told.exact) == (2, 1, False)
    assert "queued  about 2 ready, 1 deferred or scheduled, 0 held" in list(page(told, []))
