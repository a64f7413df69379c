"""The configuration's keys of listeners, and of logins to them."""

import time
from collections.abc import Collection
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from common.options import OptionError, Options, read, written_options
from common.section import Bind, Duration, Network, Section, Size, written


class Listener(Section):
    """A port that takes mail."""

    name: str = Field("relay", pattern=r"^[a-z0-9_-]+$")
    bind: Bind = "127.0.0.1:2525"
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="processes that share the port; the system spreads connections over them. Limits of connections, "
        "rates, memory and failed logins hold for each: all together may take so many times as much",
    )
    tls: Literal["none", "starttls", "implicit"] = Field(
        "starttls", description="starttls offers it where there is tls_cert; implicit begins with it (port 465)"
    )
    tls_cert: str = Field("", description="PEM file, the chain after the certificate; read again when it changes")
    tls_key: str = Field("", description='PEM file without a password; "" looks into tls_cert')
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
    line_endings: Literal["auto", "fix", "deny"] = Field(
        "auto",
        description="a message with a bare CR, a bare LF or a NUL is mended (fix) or refused (deny); auto mends it "
        "for clients that may relay and refuses it from others",
    )
    max_message: Size = written("50MB", description="largest message in bytes, advertised as SIZE")
    max_memory: Size = written(
        "256MB",
        description="compressed content of messages above 256 KB that one process holds while they come in; beyond it "
        "reading pauses",
    )
    max_recipients: int = Field(1000, ge=1, le=1000, description="recipients of one transaction")
    max_connections: int = Field(
        1000, ge=1, description="connections of one process at the same time; a tenth is kept for clients in networks"
    )
    client_connections: int = Field(
        50,
        ge=0,
        description="connections to one process from one address (IPv6: /64) at the same time, and four times as many "
        "from its network (/24, IPv6: /48); 0 is no limit, as for clients in networks",
    )
    client_rate: int = Field(600, ge=0, description="connections likewise that may begin in a minute; 0 is no limit")
    xclient: list[Network] = Field([], description="proxies that may say for whom they speak, by XCLIENT")
    proxy: list[Network] = Field(
        [], description="proxies whose connections begin with PROXY, v1 or v2; no others may begin with it"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.tls_cert and (self.tls == "implicit" or self.tls_key):
            raise ValueError(f"tls_cert: {'tls_key' if self.tls_key else 'tls = implicit'} needs it")
        return self

    def default_options(self, pools: Collection[str], webhooks: Collection[str] = ()) -> Options:
        """``defaults`` as options; ``pools`` and ``webhooks`` are those there are. Raises ValueError."""
        try:
            return read(written_options(self.defaults), time.time(), pools, webhooks)
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
