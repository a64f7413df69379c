"""Every key of the configuration: name, default, meaning and check in one place.

``docs/configuration.md`` is generated from these classes (``postjet config reference``). A value that
asks for what a later version brings is refused by name, never silently ignored.
"""

import ipaddress
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from common.classify.rule import ClassRule
from common.entry import FEEDBACK_POOL
from common.feedback import AutoReply, Feedback, Unsubscribe
from common.listener import Listener, Logins
from common.policies.reply_rule import ReplyRule
from common.policies.rules import PolicyRule, Provider
from common.section import Bind, Duration, Hostname, Mailbox, Network, Section, Size, split_host_port, written
from common.suppression.rules import Rules as Suppression
from common.webhook import Webhook


def without_password(url: str) -> str:
    """A URL fit to be shown: neither user nor query."""
    return re.sub(r"[?].*", "?***", re.sub(r"//[^/@]*@", "//***@", url))


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
    bind: Bind = Field(
        "127.0.0.1:0", description="where the embedded engine answers; port 0 takes one that is free at each start"
    )
    reader_password: str = Field(
        "", description='of its user "reader", who may read and nothing else: for Grafana; "" = there is none'
    )


class Events(Section):
    """What happened: rows of single events, and rollups, which add them up and name no address."""

    keep: Duration = written("90d", description="how long rows of events stay in ClickHouse, 10000d at most")
    keep_personal: Duration = written(
        "30d", description="how long they keep what tells of persons: addresses, texts, meta; and what is set aside"
    )
    keep_minutes: Duration = written("180d", description="how long rollups by minute stay; whole weeks are removed")
    keep_hours: Duration = written("1100d", description="how long rollups by hour stay; whole months are removed")
    recipients: Literal["plain", "hashed"] = Field(
        "plain", description="hashed: ClickHouse gets no recipient's address, but a hash by data_dir/recipients.key"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("keep", "keep_personal", "keep_minutes", "keep_hours"):
            # ClickHouse's DateTime ends in 2106; a sum beyond it would lie in the past
            if getattr(self, key) > 10_000 * 86_400:
                raise ValueError(f"{key}: 10000d is the most")
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
    ehlo: Hostname = Field("", description='what EHLO says; "" says hostname')

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.source_addresses)) != len(self.source_addresses):
            raise ValueError("source_addresses: one of them is there twice")
        return self


def _pool_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name):
        raise ValueError("a pool's name has lower-case letters, digits and -, at most 32, and begins with no -")
    if name == FEEDBACK_POOL:
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
    delay_report: Duration = written(
        "4h", description="after this long senders are told of a delay, if they asked to be: NOTIFY=DELAY"
    )
    tls: Literal["none", "opportunistic", "required"] = Field(
        "opportunistic", description="required: mail waits for a host that offers STARTTLS; who it is is not verified"
    )
    tls_ca: str = Field("", description='"" is the system\'s; nothing else in this version')

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._later("tls_ca", "")
        if self.smarthost:
            split_host_port(self.smarthost, 587)
        if self.username and not self.smarthost:
            raise ValueError("username: needs smarthost")
        if self.retry_first > self.retry_max:
            raise ValueError("retry_first: longer than retry_max, which no delay exceeds; raise retry_max too")
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


class Config(Section):
    """The whole configuration."""

    hostname: Hostname = Field("", description='EHLO, Received, Message-ID; "" takes the system\'s name')
    data_dir: str = Field("./var", description="everything that outlives a process")
    postmaster: Mailbox = Field("", description="where mail to postmaster@hostname goes (RFC 5321 4.5.1)")
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
    classes: tuple[ClassRule, ...] = ()
    dkim: Dkim = Dkim()
    feedback: Feedback = Feedback()
    suppression: Suppression = Suppression()
    unsubscribe: Unsubscribe = Unsubscribe()
    auto_reply: AutoReply = AutoReply()
    webhooks: tuple[Webhook, ...] = ()

    @property
    def queues(self) -> list[str]:
        """The pools, and where feedback waits, if there is any: the names of the queues' streams."""
        return [*self.pools, *([FEEDBACK_POOL] if self.feedback.domain else [])]

    @property
    def webhook_names(self) -> tuple[str, ...]:
        """What mail may name."""
        return tuple(webhook.name for webhook in self.webhooks)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for what in ("name", "bind"):
            values = [getattr(listener, what) for listener in self.listeners]
            if len(set(values)) != len(values):
                raise ValueError(f"listeners: two of them have the same {what}")
        for listener in self.listeners:
            options = listener.default_options(self.pools, self.webhook_names)
            if options.unsubscribe and not self.unsubscribe.url:
                raise ValueError(f"unsubscribe.url: the defaults of listener {listener.name} need it")
        if len(set(self.webhook_names)) != len(self.webhooks):
            raise ValueError("webhooks: two of them have the same name")
        return self
