"""Which hosts take a domain's mail, in which order, at which addresses (RFC 5321 section 5)."""

import asyncio
import ipaddress
import random
from dataclasses import dataclass
from itertools import chain, groupby, zip_longest
from typing import NamedTuple

from common.config import Config
from common.section import split_host_port
from common.sockets import is_local
from outbound.failure import DeliveryFailure, permanent, temporary
from outbound.resolver import Answer, Outcome, Record, Resolver

#: MX hosts of a domain that are looked at, the preferred first.
MAX_HOSTS = 20

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Route:
    """Where a domain's mail goes. Domains with the same hosts have the same key: they share a site."""

    key: str
    hosts: tuple[Record, ...]
    """The preferred first."""
    port: int

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts' names."""
        return tuple(host for _, host in self.hosts)


class Target(NamedTuple):
    """One place to connect to."""

    host: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}[{self.address}]:{self.port}"


class Router:
    """Finds a domain's route, which costs at most one question, and its targets when they are needed."""

    def __init__(self, config: Config, resolver: Resolver) -> None:
        self._resolver = resolver
        self._hostname = config.hostname.lower()
        self._port = config.delivery.port
        self._prohibited = [ipaddress.ip_network(network) for network in config.delivery.prohibited_networks]
        binds = [split_host_port(listener.bind) for listener in config.listeners]
        self._listeners = [(ipaddress.ip_address(host), port) for host, port in binds]
        self._smarthost: Route | None = None
        if config.delivery.smarthost:
            host, port = split_host_port(config.delivery.smarthost, 587)
            self._smarthost = Route(f"{host}:{port}", (Record(0, host),), port)

    async def route(self, domain: str) -> Route:
        """The hosts for a domain (lower-case A-labels, or an address literal). Raises DeliveryFailure."""
        if self._smarthost:
            return self._smarthost
        if domain.startswith("["):
            return Route(domain, (Record(0, _literal(domain)),), self._port)
        hosts = _mail_exchangers(domain, await self._resolver.lookup(domain, "MX"))
        # RFC 5321 5.1: where we are an MX host ourselves, only those preferred to us are left
        ours = min((record.preference for record in hosts if record.value == self._hostname), default=None)
        if ours is not None:
            hosts = [record for record in hosts if record.preference < ours]
        if not hosts:
            raise _loop(f"this host is the best MX of {domain}")
        return Route(",".join(sorted({record.value for record in hosts})), tuple(hosts), self._port)

    async def targets(self, route: Route, family: str = "both") -> list[Target]:
        """Every address to try, in order, of a family (``both``, ``ipv4``, ``ipv6``).

        Raises DeliveryFailure when there is none.
        """
        found = await asyncio.gather(*(self._addresses(host) for _, host in route.hosts))
        hosts = list(zip(route.hosts, found, strict=True))
        random.shuffle(hosts)  # RFC 5321 5.1: equals in random order, to spread the load
        hosts.sort(key=lambda pair: pair[0].preference)
        targets: list[Target] = []
        for _, equals in groupby(hosts, key=lambda pair: pair[0].preference):
            group = [Target(host, str(ip), route.port) for (_, host), (ips, _) in equals for ip in ips]
            if loop := any(self._is_ours(target) for target in group):
                break
            targets += group
        usable = [t for t in targets if route is self._smarthost or not self._is_prohibited(t)]
        if not usable:
            raise _unreachable(route, targets, loop, temporarily=any(failed for _, failed in found))
        if family != "both" and not (usable := [t for t in usable if (":" in t.address) == (family == "ipv6")]):
            # what a policy says is the operator's, who may err: it bounces no mail
            raise temporary("4.4.4", f"no {family} address for {route.key}", phase="dns", reason="no_address")
        return usable

    async def _addresses(self, host: str) -> tuple[list[Address], bool]:
        """Addresses of a host, and whether DNS failed for some."""
        try:
            return [ipaddress.ip_address(host)], False
        except ValueError:
            answers = await asyncio.gather(self._resolver.lookup(host, "AAAA"), self._resolver.lookup(host, "A"))
        families = ([ipaddress.ip_address(record.value) for record in answer.records] for answer in answers)
        # In turn, so that a family that leads nowhere costs one timeout before the other is tried.
        mixed = chain.from_iterable(zip_longest(*(random.sample(ips, len(ips)) for ips in families)))
        return [ip for ip in mixed if ip], any(answer.outcome is Outcome.TEMPORARY for answer in answers)

    def _is_prohibited(self, target: Target) -> bool:
        ip: Address = ipaddress.ip_address(target.address)
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return ip.is_unspecified or ip.is_multicast or any(ip in network for network in self._prohibited)

    def _is_ours(self, target: Target) -> bool:
        """One of our own listeners is there."""
        ip = ipaddress.ip_address(target.address)
        return any(
            port == target.port and (bound == ip or (bound.is_unspecified and is_local(target.address)))
            for bound, port in self._listeners
        )


def _mail_exchangers(domain: str, answer: Answer) -> list[Record]:
    match answer.outcome:
        case Outcome.FOUND:
            hosts = sorted(record for record in answer.records if record.value != ".")
            if not hosts:  # RFC 7505 4.2
                raise permanent("5.1.10", f"{domain} takes no mail (null MX)", phase="dns", reason="null_mx", code=556)
            return hosts[:MAX_HOSTS]
        case Outcome.NO_DATA:  # RFC 5321 5.1: the implicit MX
            return [Record(0, domain)]
        case Outcome.NO_NAME:
            raise permanent("5.1.2", f"no such domain: {domain}", phase="dns", reason="dns")
        case Outcome.TEMPORARY:
            raise temporary("4.4.3", f"DNS failed for {domain}: {answer.text}", phase="dns", reason="dns")


def _literal(domain: str) -> str:
    """The address in an address literal (RFC 5321 4.1.3)."""
    text = domain.strip("[]")
    try:
        return str(ipaddress.IPv6Address(text[5:]) if text[:5].lower() == "ipv6:" else ipaddress.IPv4Address(text))
    except ValueError:
        raise permanent("5.1.3", f"no address literal: {domain}", phase="dns", reason="dns", code=553) from None


def _unreachable(route: Route, prohibited: list[Target], loop: bool, temporarily: bool) -> DeliveryFailure:
    """Why a route has no target."""
    if temporarily:
        return temporary("4.4.3", f"DNS failed for {route.key}", phase="dns", reason="dns")
    if prohibited:
        names = ", ".join(f"{target.host}[{target.address}]" for target in prohibited)
        return permanent("5.7.1", f"address prohibited: {names}", phase="dns", reason="prohibited")
    if loop:
        return _loop(f"{route.key} is this host")
    return permanent("5.4.4", f"no address for {route.key}", phase="dns", reason="no_address")


def _loop(text: str) -> DeliveryFailure:
    return permanent("5.4.6", f"mail loops back: {text}", phase="dns", reason="loop", code=554)
