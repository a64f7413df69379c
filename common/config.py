"""Every key of the configuration: name, default, meaning and check in one place.

``docs/configuration.md`` is generated from these classes (``postjet config reference``). A value that
asks for what a later version brings is refused by name, never silently ignored.
"""

import ipaddress
import re
import time
from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from common.addresses import normal_domain, parse_mailbox
from common.options import OptionError, Options, read, written_options
from common.policies.reply_rule import ReplyRule
from common.policies.rules import PolicyRule, Provider
from common.section import Duration, Section, Size, written

Network = Annotated[str, AfterValidator(lambda text: str(ipaddress.ip_network(text, strict=False)))]


def split_host_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """``host:port``, ``[v6]:port`` or, with a default, ``host`` alone. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if (not colon or host.count(":") != text.count("]:") * host.count(":")) and default_port is not None:
        host, port = text, str(default_port)
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not host:port, such as 127.0.0.1:2525 or [::1]:2525")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _bind(text: str) -> str:
    host, _ = split_host_port(text)
    ipaddress.ip_address(host)
    return text


Bind = Annotated[str, AfterValidator(_bind)]


def without_password(url: str) -> str:
    """A URL fit to be shown."""
    return re.sub(r"//[^/@]*@", "//***@", url)


class Log(Section):
    """What the processes write to standard error."""

    format: Literal["text", "json"] = Field("text", description="text has Postfix's look")
    level: Literal["debug", "info", "warning", "error"] = "info"


class Nats(Section):
    """The broker that holds the queue."""

    url: str = Field("", description='"" starts an embedded nats-server; else nats://host:4222')
    credentials: str = Field("", description="credentials file for an external server")
    max_store: Size = written(
        "50GB", description="at most; lowered at start to 80 % of the free disk, with a line that says so"
    )
    sweep_every: Duration = written("10m", description="how often what a crash left behind is looked for")
    orphan_age: Duration = written(
        "1h", description="content that no entry names is removed after this long; a mail being accepted may need 2m"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("sweep_every", "orphan_age"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}: 1s is the least")
        return self


class ClickHouse(Section):
    """The database that keeps the events."""

    url: str = Field(
        "", description='"" starts the embedded engine; else http(s)://user:password@host:8123/database'
    )


class Events(Section):
    """What happened."""

    keep: Duration = written("90d", description="how long rows stay in ClickHouse, 10000d at most")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.keep > 10_000 * 86_400:  # ClickHouse's DateTime ends in 2106; a sum beyond it would lie in the past
            raise ValueError("keep: 10000d is the most")
        return self


class Controls(Section):
    """Orders that hold mail back or end it: postjet pause, stop, resume."""

    headers: list[Annotated[str, AfterValidator(str.lower)]] = Field(
        ["list-id", "feedback-id", "precedence", "x-campaign", "x-job"],
        description="fields of the header that an order can match; their values are kept in the queue",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.headers:
            if not re.fullmatch(r"[!-9;-~]+", name):  # RFC 5322 3.6.8
                raise ValueError(f"headers: {name!r} is no name of a field, such as list-id")
        return self


class Dns(Section):
    """Where names are looked up."""

    nameservers: list[str] = Field([], description='[] asks the system\'s; or ["127.0.0.1:5353", …]')

    @model_validator(mode="after")
    def _check(self) -> Self:
        for server in self.nameservers:
            ipaddress.ip_address(split_host_port(server, 53)[0])
        return self


class Api(Section):
    """HTTP: /healthz, /readyz and /metrics, without a login. REST and console come in a later version."""

    bind: Bind = Field("127.0.0.1:8025", description="port 0 takes one that is free; run/instance.json says which")


class Listener(Section):
    """A port that takes mail."""

    name: str = Field("relay", pattern=r"^[a-z0-9_-]+$")
    bind: Bind = "127.0.0.1:2525"
    processes: int = Field(1, ge=1, le=64, description="processes that share the port")
    tls: Literal["none", "starttls", "implicit"] = Field("none", description="none in this version")
    tls_cert: str = ""
    tls_key: str = ""
    auth: Literal["none", "optional", "required"] = Field(
        "optional",
        description="optional: clients outside networks may log in to send; required: nobody sends without; "
        "none: it is not offered",
    )
    auth_without_tls: bool = Field(
        False, description="take passwords in clear too; for networks that nobody listens in"
    )
    networks: list[Network] = Field(
        ["127.0.0.0/8", "::1/128"], description="clients that may relay; everybody else is refused"
    )
    options: bool = Field(
        True, description="clients in networks may set options by X-Postjet-* headers; false only removes those"
    )
    defaults: dict[str, Any] = Field(
        {},
        description="options of mail that does not set them, by the names of the X-Postjet-* header fields: "
        '{ pool = "bulk", priority = 3, tags = ["news"] }',
    )
    compatible: list[Literal["powermta", "mailerq"]] = Field(
        [], description="products whose header fields for options are understood here, and removed, too"
    )
    max_message: Size = written("50MB", description="largest message in bytes, advertised as SIZE")
    max_recipients: int = Field(1000, ge=1, le=1000, description="recipients of one transaction")
    max_connections: int = Field(1000, ge=1, description="connections of one process at the same time")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key, allowed in {"tls": "none", "tls_cert": "", "tls_key": ""}.items():
            self._later(key, allowed)
        return self

    def default_options(self, pools: Collection[str]) -> Options:
        """``defaults`` as options; ``pools`` are those there are. Raises ValueError."""
        try:
            return read(written_options(self.defaults), time.time(), pools)
        except OptionError as error:
            raise ValueError(f"defaults: {error.name}: {error}") from None


class Logins(Section):
    """Failed logins (AUTH) of one address, IPv6 addresses by /64. Each process of a listener counts for itself."""

    failures: int = Field(10, ge=1, description="so many failed logins within the time below are too many: 421 4.7.0")
    within: Duration = written("10m", description="how long it takes until as many are forgotten, one by one")
    refuse: Duration = written("10m", description="how long an address with too many is refused")
    max_delay: Duration = written(
        "10s", description="the answer to a failed login comes after 0.5s, twice that for the next, at most so long"
    )
    cache: Duration = written(
        "5m", description="a password that was right is not computed again for so long; a user that changes is"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.within < 1:
            raise ValueError("within: 1s is the least")
        return self


def _hostname(text: str) -> str:
    return normal_domain(text) if text else ""


def _source_address(text: str) -> str:
    address = ipaddress.ip_address(text)
    if address.is_unspecified or address.is_multicast or getattr(address, "ipv4_mapped", None) or "%" in text:
        raise ValueError(f"{text!r} is no address to send from")
    return str(address)


class Pool(Section):
    """A group of delivery processes. [pools.default] is always there; add others, such as [pools.bulk]."""

    workers: int = Field(1, ge=1, le=64, description="delivery processes on this machine")
    source_addresses: list[Annotated[str, AfterValidator(_source_address)]] = Field(
        [],
        description="connections come from these in turn, IPv6 hosts are tried only if one is IPv6, IPv4 hosts "
        "likewise; [] leaves it to the system",
    )
    ehlo: Annotated[str, AfterValidator(_hostname)] = Field("", description='what EHLO says; "" says hostname')

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.source_addresses)) != len(self.source_addresses):
            raise ValueError("source_addresses: one of them is there twice")
        return self


def _pool_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name):
        raise ValueError("a pool's name has lower-case letters, digits and -, at most 32, and begins with no -")
    if name == "feedback":
        raise ValueError("this name is reserved; choose another")
    return name


class Delivery(Section):
    """How mail goes out."""

    port: int = Field(25, ge=1, le=65535, description="where MX hosts listen")
    smarthost: str = Field("", description='"" asks for MX; or "host:587" takes all mail')
    username: str = Field("", description="for the smarthost")
    password: str = Field("", description="for the smarthost; sent over TLS only")
    prohibited_networks: list[Network] = Field(
        ["127.0.0.0/8", "::1/128"], description="never deliver there; [] in tests"
    )
    connections: int = Field(20, ge=1, description="connections to one site at the same time, of all workers together")
    messages_per_connection: int = Field(100, ge=1)
    connect_timeout: Duration = written("30s")
    command_timeout: Duration = written("5m")
    site_down: Duration = written("1m", description="how long a site that does not answer is left alone")
    expire: Duration = written("5d", description="give up after this long")
    retry_first: Duration = written("5m")
    retry_factor: float = Field(2.0, ge=1)
    retry_max: Duration = written("4h")
    retry_jitter: float = Field(0.1, ge=0, lt=1, description="part of the delay that is random")
    max_attempts: int = Field(0, ge=0, description="0 tries until expiry")
    tls: Literal["none", "opportunistic"] = "opportunistic"
    tls_ca: str = Field("", description='"" is the system\'s; nothing else in this version')

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._later("tls_ca", "")
        if self.smarthost:
            split_host_port(self.smarthost, 587)
        if self.username and not self.smarthost:
            raise ValueError("username: needs smarthost")
        return self


class Dkim(Section):
    """Signing keys."""

    keys: str = Field(
        "file://{data_dir}/dkim/{domain}.{selector}.pem",
        description="where private keys are; only file:// in this version",
    )
    cache: int = Field(1000, ge=1, description="domains whose keys are kept in memory")
    required: bool = Field(False, description="defer mail from domains without a key instead of sending it unsigned")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.keys.startswith("file://"):
            raise ValueError("keys: only file://… works in this version")
        if not self.keys.endswith("{domain}.{selector}.pem") and "/{domain}/{selector}" not in self.keys:
            raise ValueError("keys: must end in {domain}.{selector}.pem or hold /{domain}/{selector}")
        return self


class Feedback(Section):
    """Bounces and complaints that come back by mail."""

    domain: str = Field("", description="VERP return paths and mail to it; empty in this version")
    addresses: list[str] = Field(["fbl", "abuse", "postmaster", "unsubscribe"], description="fixed addresses there")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._later("domain", "")
        return self


def _mailbox(text: str) -> str:
    return str(parse_mailbox(text)) if text else ""


class Config(Section):
    """The whole configuration."""

    hostname: Annotated[str, AfterValidator(_hostname)] = Field(
        "", description='EHLO, Received, Message-ID; "" takes the system\'s name'
    )
    data_dir: str = Field("./var", description="everything that outlives a process")
    postmaster: Annotated[str, AfterValidator(_mailbox)] = Field(
        "", description="where mail to postmaster@hostname goes (RFC 5321 4.5.1)"
    )
    log: Log = Log()
    nats: Nats = Nats()
    clickhouse: ClickHouse = ClickHouse()
    events: Events = Events()
    controls: Controls = Controls()
    dns: Dns = Dns()
    api: Api = Api()
    listeners: list[Listener] = Field([Listener()], min_length=1)
    logins: Logins = Logins()
    pools: Annotated[
        dict[Annotated[str, AfterValidator(_pool_name)], Pool],
        AfterValidator(lambda pools: {"default": Pool()} | pools),
    ] = Field({"default": Pool()})
    delivery: Delivery = Delivery()
    providers: tuple[Provider, ...] = ()
    policies: tuple[PolicyRule, ...] = ()
    replies: tuple[ReplyRule, ...] = ()
    dkim: Dkim = Dkim()
    feedback: Feedback = Feedback()

    @model_validator(mode="after")
    def _check(self) -> Self:
        for what in ("name", "bind"):
            values = [getattr(listener, what) for listener in self.listeners]
            if len(set(values)) != len(values):
                raise ValueError(f"listeners: two of them have the same {what}")
        for listener in self.listeners:
            listener.default_options(self.pools)
        return self
