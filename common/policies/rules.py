"""Rules as they are written: ``[[providers]]`` and ``[[policies]]``."""

import ipaddress
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from common.policies.patterns import parse_pattern
from common.section import Duration, Section
from common.units import Rate, parse_rate

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def rule_name(text: str) -> str:
    """A name that fits into subjects and keys. Raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name for a rule; use lower-case letters, digits, - and _")
    return text


def listed(value: Any) -> Any:
    """One value may stand for a list of one."""
    return value if isinstance(value, list | tuple) else [value]


Name = Annotated[str, AfterValidator(rule_name)]
Pattern = Annotated[str, AfterValidator(parse_pattern)]
Patterns = Annotated[tuple[Pattern, ...], BeforeValidator(listed)]
Texts = Annotated[tuple[str, ...], BeforeValidator(listed)]
Rates = Annotated[tuple[Annotated[Rate, BeforeValidator(parse_rate)], ...], BeforeValidator(listed)]
Address = Annotated[str, AfterValidator(lambda text: str(ipaddress.ip_address(text)))]

Count = Annotated[int, Field(ge=1, strict=True)]

#: What a rule may set besides limits; each is a field of ``Policy`` too.
SCALARS = (
    "messages_per_connection", "connect_timeout", "command_timeout", "site_down", "retry", "retry_first",
    "retry_factor", "retry_max", "retry_jitter", "max_attempts", "expire", "tls", "ip_family",
)  # fmt: skip
LIMITS = ("connections", "rate", "connection_rate")
CURVE = ("retry_first", "retry_factor", "retry_max")


class Provider(Section):
    """A name for the sites of one receiver. One of the name of a shipped provider replaces that."""

    name: Name
    mx: Patterns = Field((), description="every MX host of a domain must match one of them")
    domain: Patterns = Field((), description="or the domain itself")
    samples: Texts = Field((), description="MX hosts or domains that are the provider's; for postjet check")
    not_samples: Texts = Field((), description="and some that are not")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (self.mx or self.domain):
            raise ValueError("mx: without mx or domain a provider matches nothing; add one of them")
        return self


class PolicyRule(Section):
    """What holds for mail that the first five match, all that are given: [how-to/policies.md](how-to/policies.md)."""

    domain: Patterns = Field((), description="the recipient's: example.org, *.example.org; a list for several")
    mx: Patterns = Field((), description="every MX host of the domain matches one of them")
    provider: str = Field("", description="a name of [[providers]], also of those shipped")
    pool: str = ""
    source: Address | None = Field(None, description="source address")
    connections: Count | None = Field(None, description="at the same time, idle ones included")
    rate: Rates = Field((), description="mails, such as 20/s, 5/10s, 600/m, 10000/h, 50000/d; a list for several")
    connection_rate: Rates = Field((), description="connections opened, such as 60/m; a list for several")
    messages_per_connection: Count | None = None
    connect_timeout: Duration | None = None
    command_timeout: Duration | None = None
    site_down: Duration | None = Field(None, description="how long a site that does not answer is left alone")
    retry: Annotated[tuple[Duration, ...], BeforeValidator(listed)] = Field(
        (), description="delays one after the other, the last for all further"
    )
    retry_first: Duration | None = Field(None, description="or a curve, as in [delivery]")
    retry_factor: float | None = Field(None, ge=1)
    retry_max: Duration | None = None
    retry_jitter: float | None = Field(None, ge=0, lt=1)
    max_attempts: int | None = Field(None, ge=0)
    expire: Duration | None = None
    tls: Literal["none", "opportunistic", "required"] | None = None
    ip_family: Literal["both", "ipv4", "ipv6"] | None = None
    samples: Texts = Field((), description="domains, or without domain MX hosts, that it is for; for postjet check")
    not_samples: Texts = Field((), description="and some it is not for")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(self.sets(key) for key in (*LIMITS, *SCALARS)):
            raise ValueError("connections: the rule sets nothing; add this or another value, or remove the rule")
        if self.retry and any(self.sets(key) for key in CURVE):
            raise ValueError("retry: a list of delays or the curve of retry_first, retry_factor, retry_max, not both")
        for key in ("connect_timeout", "command_timeout", "expire", "retry_first", "retry_max"):
            if self.sets(key) and getattr(self, key) < 1:
                raise ValueError(f"{key}: 1s is the least")
        if self.retry_first and self.retry_max and self.retry_first > self.retry_max:
            raise ValueError("retry_first: longer than retry_max, which no delay exceeds; raise retry_max too")
        if any(delay < 1 for delay in self.retry):
            raise ValueError("retry: 1s is the least")
        return self

    def sets(self, key: str) -> bool:
        """Whether the rule says something of ``key``."""
        return getattr(self, key) not in (None, ())

    @property
    def matchers(self) -> tuple[Any, ...]:
        """What it is for: rules of the same matchers match the same mail."""
        return frozenset(self.domain), frozenset(self.mx), self.provider, self.source, self.pool
