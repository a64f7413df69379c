"""From rules to a policy: which rules match, which value wins. How-to for people: docs/how-to/policies.md."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from common.errors import ConfigError
from common.limits.limit import Limit, What
from common.policies.patterns import matcher
from common.policies.policy import DEFAULT, Policy
from common.policies.reading import Layer, Rules, Written
from common.policies.rules import CURVE, SCALARS, PolicyRule, Provider


@dataclass(frozen=True, slots=True)
class Mail:
    """What of a mail rules can match."""

    domain: str
    hosts: tuple[str, ...]
    site: str
    provider: str
    pool: str
    source: str


class Match:
    """One rule made ready."""

    def __init__(self, number: int, written: Written[PolicyRule]) -> None:
        self.written = written
        rule = self.rule = written.rule
        self._domain = matcher(rule.domain)
        self._mx = matcher(rule.mx)
        self.exact = bool(rule.domain) and not any("*" in pattern for pattern in rule.domain)
        place = (3 + self.exact) if rule.domain else 2 if rule.mx else 1 if rule.provider else 0
        self.weight = written.layer, place, rule.source is not None, bool(rule.pool), number
        """Of two rules that set the same, the one that weighs more counts."""

    def matches(self, mail: Mail) -> bool:
        """Whether all that the rule names is so."""
        rule = self.rule
        return (
            (not rule.pool or rule.pool == mail.pool)
            and (not rule.source or rule.source == mail.source)
            and (not rule.provider or rule.provider == mail.provider)
            and (not rule.domain or self._domain(mail.domain))
            and (not rule.mx or _all(self._mx, mail.hosts))
        )

    def key(self, mail: Mail) -> str:
        """What the rule's limits limit."""
        parts = []
        if self.rule.domain:
            parts.append(f"domain:{mail.domain}")
        elif self.rule.mx:
            parts.append(f"site:{mail.site}")
        elif self.rule.provider:
            parts.append(f"provider:{mail.provider}")
        if self.rule.source:
            parts.append(f"source:{mail.source}")
        if self.rule.pool:
            parts.append(f"pool:{mail.pool}")
        return "|".join(parts) or f"site:{mail.site}"

    def limits(self, mail: Mail) -> list[Limit]:
        """The rule's limits as they apply to a mail."""
        key, rule, origin = self.key(mail), self.rule, self.written.origin
        found = [Limit(key, What.CONNECTIONS, rule.connections, 0, origin)] if rule.connections else []
        found += [Limit(key, What.MESSAGES, rate.amount, rate.per, origin) for rate in rule.rate]
        found += [Limit(key, What.CONNECTS, rate.amount, rate.per, origin) for rate in rule.connection_rate]
        return found


class Outcome:
    """All rules together. Raises ConfigError for a rule that names no known provider."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._providers = [
            (written.rule.name, matcher(written.rule.domain), matcher(written.rule.mx))
            for written in in_order(rules.providers)
        ]
        _check_providers(rules)
        # there may be thousands of rules for one domain each: those are looked up, the others tried
        self._of_domain: dict[str, list[Match]] = {}
        self._others: list[Match] = []
        for match in map(Match, range(len(rules.policies)), rules.policies):
            for domain in match.rule.domain if match.exact else ():
                self._of_domain.setdefault(domain, []).append(match)
            if not match.exact:
                self._others.append(match)

    def provider(self, domain: str, hosts: Sequence[str]) -> str:
        """The name of the first provider that matches, or ""."""
        for name, of_domain, of_mx in self._providers:
            if of_domain(domain) or _all(of_mx, hosts):
                return name
        return ""

    def policy(self, domain: str, hosts: Sequence[str], site: str, pool: str, source: str) -> Policy:
        """What holds for mail to a domain over a site. ``hosts`` are its MX hosts without a dot at the end.

        Without a ``site``, where no route is known, limits of sites are left out.
        """
        hosts = tuple(host.lower() for host in hosts)
        mail = Mail(domain, hosts, site, self.provider(domain, hosts), pool, source)
        tried = (*self._others, *self._of_domain.get(domain, ()))
        matches = sorted((match for match in tried if match.matches(mail)), key=attrgetter("weight"))
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for match in matches:
            for key in SCALARS:
                if match.rule.sets(key):
                    values[key], origins[key] = getattr(match.rule, key), match.written.origin
            if any(match.rule.sets(key) for key in CURVE):
                values["retry"] = ()  # the curve takes the place of a list that was set before
                origins.pop("retry", None)
        if fewest := _fewest(matches):
            values["messages_per_connection"] = fewest.rule.messages_per_connection
            origins["messages_per_connection"] = fewest.written.origin
        for key in [key for key in origins if values[key] == getattr(DEFAULT, key)]:
            del origins[key]
        return Policy(provider=mail.provider, limits=_limits(matches, mail), origins=origins, **values)


def in_order(providers: tuple[Written[Provider], ...]) -> list[Written[Provider]]:
    """The operator's first; of those with one name the first."""
    found: dict[str, Written[Provider]] = {}
    for written in sorted(providers, key=lambda written: -written.layer):
        found.setdefault(written.rule.name, written)
    return list(found.values())


def unknown_provider(name: str, rules: Rules) -> str:
    """What is wrong with a provider's name in a rule; "" where nothing is."""
    names = [written.rule.name for written in rules.providers]
    if not name or name in names:
        return ""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"{name!r} is no provider; " + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}")


def _check_providers(rules: Rules) -> None:
    wrong = [
        f"{written.origin}: {table}.provider: {said}"
        for table, found in (("policies", rules.policies), ("replies", rules.replies), ("classes", rules.classes))
        for written in found
        if (said := unknown_provider(written.rule.provider, rules))
    ]
    if wrong:
        raise ConfigError("\n".join(wrong))


def _fewest(matches: list[Match]) -> Match | None:
    """Of the highest layer that sets messages_per_connection the rule with the fewest."""
    setting = [match for match in matches if match.rule.messages_per_connection]
    return min(setting, key=lambda m: (-m.written.layer, m.rule.messages_per_connection), default=None)


def _limits(matches: list[Match], mail: Mail) -> tuple[Limit, ...]:
    """All limits; of those on one key over one time the highest layer's tightest."""
    found: dict[tuple[str, What, float], tuple[Layer, Limit]] = {}
    for match in matches:  # from the lowest layer to the highest
        layer = match.written.layer
        for limit in match.limits(mail):
            if not mail.site and limit.key.startswith("site:"):
                continue
            kind = limit.key, limit.what, limit.per
            before = found.get(kind)
            if not before or layer > before[0] or limit.amount < before[1].amount:
                found[kind] = layer, limit
    return tuple(limit for _, limit in found.values())


def _all(matches: Callable[[str], bool], hosts: Sequence[str]) -> bool:
    """Every host: a domain that has some of them elsewhere too is not the provider's."""
    return bool(hosts) and all(map(matches, hosts))
