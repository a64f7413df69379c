"""What every part of the configuration is made of: sections that refuse unknown keys, and their types."""

import ipaddress
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from common.addresses import normal_domain, parse_mailbox
from common.units import parse_duration, parse_size

Size = Annotated[int, BeforeValidator(parse_size)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
Network = Annotated[str, AfterValidator(lambda text: str(ipaddress.ip_network(text, strict=False)))]
Hostname = Annotated[str, AfterValidator(lambda text: normal_domain(text) if text else "")]
Mailbox = Annotated[str, AfterValidator(lambda text: str(parse_mailbox(text)) if text else "")]


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


def written(text: str, description: str | None = None) -> Any:
    """A default as people write it; the reference page shows it so."""
    return Field(text, description=description)


class Section(BaseModel):
    """Part of the configuration: unknown keys are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def _later(self, key: str, allowed: Any) -> None:
        """Refuse a value of ``key`` that a later version brings."""
        if getattr(self, key) != allowed:
            raise ValueError(f"{key}: only {allowed!r} works in this version; remove the line")
