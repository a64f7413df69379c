from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from common.config import Config
from master.demo.dns_server import DnsServer
from outbound.failure import DeliveryFailure
from outbound.resolver import Resolver
from outbound.routing import MAX_HOSTS, Router, Target


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        yield server


def router(dns: DnsServer, delivery: dict[str, Any] | None = None, bind: str = "127.0.0.1:2525") -> Router:
    config = Config.model_validate(
        {"hostname": "us.test", "delivery": delivery or {}, "listeners": [{"bind": bind}]}
    )
    return Router(config, Resolver([dns.address]))


async def targets(router: Router, domain: str) -> list[str]:
    return [target.address for target in await router.targets(await router.route(domain))]


async def failure(router: Router, domain: str) -> tuple[bool, str, str]:
    with pytest.raises(DeliveryFailure) as caught:
        await targets(router, domain)
    assert caught.value.phase == "dns"
    assert not caught.value.site_down
    return caught.value.permanent, caught.value.enhanced, caught.value.reason


def hosts(dns: DnsServer, *names: str) -> None:
    for i, name in enumerate(names, 1):
        dns.zone.add(name, "A", f"192.0.2.{i}")


async def test_hosts_by_preference(dns: DnsServer) -> None:
    dns.zone.add("a.test", "MX", "20 b.mx.test", "10 z.mx.test")
    hosts(dns, "z.mx.test", "b.mx.test")
    route = await router(dns).route("a.test")
    assert route.key == "b.mx.test,z.mx.test"
    assert await router(dns).targets(route) == [
        Target("z.mx.test", "192.0.2.1", 25),
        Target("b.mx.test", "192.0.2.2", 25),
    ]


async def test_domains_with_the_same_hosts_share_a_site(dns: DnsServer) -> None:
    dns.zone.add("a.test", "MX", "10 mx1.test", "20 mx2.test")
    dns.zone.add("b.test", "MX", "5 MX2.test", "5 mx1.test")
    a, b = [await router(dns).route(domain) for domain in ("a.test", "b.test")]
    assert a.key == b.key
    assert a.hosts != b.hosts


async def test_equals_come_in_random_order(dns: DnsServer) -> None:
    dns.zone.add("a.test", "MX", "10 mx1.test", "10 mx2.test", "20 mx3.test")
    hosts(dns, "mx1.test", "mx2.test", "mx3.test")
    outbound = router(dns)
    orders = Counter([tuple(await targets(outbound, "a.test")) for _ in range(100)])
    assert set(orders) == {("192.0.2.1", "192.0.2.2", "192.0.2.3"), ("192.0.2.2", "192.0.2.1", "192.0.2.3")}


async def test_addresses_of_both_families_in_turn(dns: DnsServer) -> None:
    dns.zone.add("a.test", "MX", "10 mx.test")
    dns.zone.add("mx.test", "A", "192.0.2.1", "192.0.2.2", "192.0.2.3")
    dns.zone.add("mx.test", "AAAA", "2001:db8::1", "2001:db8::2")
    found = await targets(router(dns), "a.test")
    assert [":" in address for address in found] == [True, False, True, False, False]
    assert len(set(found)) == 5


@pytest.mark.parametrize(("family", "address"), [("ipv4", "192.0.2.1"), ("ipv6", "2001:db8::1")])
async def test_addresses_of_one_family(dns: DnsServer, family: str, address: str) -> None:
    dns.zone.add("a.test", "A", "192.0.2.1")
    dns.zone.add("a.test", "AAAA", "2001:db8::1")
    route = await router(dns).route("a.test")
    assert [target.address for target in await router(dns).targets(route, family)] == [address]


async def test_no_address_of_the_family_bounces_nothing(dns: DnsServer) -> None:
    dns.zone.add("a.test", "A", "192.0.2.1")
    with pytest.raises(DeliveryFailure) as caught:
        await router(dns).targets(await router(dns).route("a.test"), "ipv6")
    assert not caught.value.permanent


async def test_the_domain_itself_without_mx(dns: DnsServer) -> None:
    hosts(dns, "a.test")
    assert (await router(dns).route("a.test")).key == "a.test"
    assert await targets(router(dns), "a.test") == ["192.0.2.1"]


async def test_a_host_without_address_is_passed_over(dns: DnsServer) -> None:
    dns.zone.add("a.test", "MX", "10 none.test", "15 broken.test", "20 mx.test")
    dns.misbehave("broken.test", "SERVFAIL")
    hosts(dns, "mx.test")
    assert await targets(router(dns), "a.test") == ["192.0.2.1"]


async def test_failures(dns: DnsServer) -> None:
    dns.zone.add("null.test", "MX", "0 .")
    dns.zone.add("nowhere.test", "MX", "10 none.test", "20 a.nowhere.test")
    dns.zone.add("empty.test", "TXT", "no address")
    dns.zone.add("shaky.test", "MX", "10 none.test", "20 broken.test")
    dns.misbehave("broken.test", "SERVFAIL")
    outbound = router(dns)
    assert await failure(outbound, "null.test") == (True, "5.1.10", "null_mx")
    assert await failure(outbound, "none.test") == (True, "5.1.2", "dns")
    assert await failure(outbound, "nowhere.test") == (True, "5.4.4", "no_address")
    assert await failure(outbound, "empty.test") == (True, "5.4.4", "no_address")
    assert await failure(outbound, "broken.test") == (False, "4.4.3", "dns")
    assert await failure(outbound, "shaky.test") == (False, "4.4.3", "dns")


async def test_many_hosts_are_not_all_tried(dns: DnsServer) -> None:
    dns.zone.add("a.test", "MX", *(f"{i} mx{i}.test" for i in range(100)))
    route = await router(dns).route("a.test")
    assert [host for _, host in route.hosts] == [f"mx{i}.test" for i in range(MAX_HOSTS)]


class TestLoop:
    async def test_only_hosts_preferred_to_us(self, dns: DnsServer) -> None:
        dns.zone.add("a.test", "MX", "10 mx1.test", "20 US.test", "20 mx2.test", "30 mx3.test")
        hosts(dns, "mx1.test", "mx2.test", "mx3.test")
        assert await targets(router(dns), "a.test") == ["192.0.2.1"]

    async def test_we_are_the_best(self, dns: DnsServer) -> None:
        dns.zone.add("a.test", "MX", "10 us.test", "20 mx.test")
        hosts(dns, "mx.test", "us.test")
        assert await failure(router(dns), "a.test") == (True, "5.4.6", "loop")
        assert await failure(router(dns), "us.test") == (True, "5.4.6", "loop")

    @pytest.mark.parametrize("bind", ["127.0.0.9:25", "0.0.0.0:25"])
    async def test_our_address_by_another_name(self, dns: DnsServer, bind: str) -> None:
        dns.zone.add("a.test", "MX", "10 mx1.test", "20 alias.test", "30 mx2.test")
        dns.zone.add("alias.test", "A", "127.0.0.9")
        hosts(dns, "mx1.test", "mx2.test")
        outbound = router(dns, {"prohibited_networks": []}, bind)
        assert await targets(outbound, "a.test") == ["192.0.2.1"]
        assert await failure(outbound, "alias.test") == (True, "5.4.6", "loop")

    async def test_another_port_is_not_us(self, dns: DnsServer) -> None:
        dns.zone.add("a.test", "A", "127.0.0.9")
        outbound = router(dns, {"prohibited_networks": []}, "127.0.0.9:2525")
        assert await targets(outbound, "a.test") == ["127.0.0.9"]


class TestProhibited:
    async def test_addresses_are_left_out(self, dns: DnsServer) -> None:
        dns.zone.add("a.test", "A", "127.0.0.1", "192.0.2.1")
        dns.zone.add("a.test", "AAAA", "::1", "::ffff:127.0.0.1")
        assert await targets(router(dns), "a.test") == ["192.0.2.1"]

    @pytest.mark.parametrize("address", ["10.1.2.3", "0.0.0.0", "224.0.0.1"])
    async def test_none_is_left(self, dns: DnsServer, address: str) -> None:
        dns.zone.add("a.test", "MX", "10 mx.test")
        dns.zone.add("mx.test", "A", address)
        with pytest.raises(DeliveryFailure, match=rf"mx.test\[{address}\]") as caught:
            await targets(router(dns, {"prohibited_networks": ["10.0.0.0/8"]}), "a.test")
        assert (caught.value.permanent, caught.value.reason) == (True, "prohibited")


class TestLiteral:
    @pytest.mark.parametrize(
        ("domain", "address"), [("[192.0.2.1]", "192.0.2.1"), ("[IPv6:2001:db8::1]", "2001:db8::1")]
    )
    async def test_an_address(self, dns: DnsServer, domain: str, address: str) -> None:
        assert await targets(router(dns), domain) == [address]
        assert not dns.questions

    @pytest.mark.parametrize("domain", ["[300.1.1.1]", "[2001:db8::1]", "[IPv6:192.0.2.1]", "[x:y]", "[]"])
    async def test_nonsense(self, dns: DnsServer, domain: str) -> None:
        assert await failure(router(dns), domain) == (True, "5.1.3", "dns")

    async def test_prohibited(self, dns: DnsServer) -> None:
        assert await failure(router(dns), "[127.0.0.1]") == (True, "5.7.1", "prohibited")


class TestSmarthost:
    async def test_takes_everything(self, dns: DnsServer) -> None:
        dns.zone.add("smart.test", "A", "127.0.0.1")
        outbound = router(dns, {"smarthost": "smart.test"})
        a, b = [await outbound.route(domain) for domain in ("a.test", "[192.0.2.1]")]
        assert a is b
        assert await outbound.targets(a) == [Target("smart.test", "127.0.0.1", 587)]
        assert not any(rdtype == "MX" for _, rdtype in dns.questions)

    async def test_may_be_an_address(self, dns: DnsServer) -> None:
        assert await targets(router(dns, {"smarthost": "[::1]:2526"}), "a.test") == ["::1"]

    async def test_is_not_ourselves(self, dns: DnsServer) -> None:
        assert await failure(router(dns, {"smarthost": "127.0.0.1:2525"}), "a.test") == (True, "5.4.6", "loop")
