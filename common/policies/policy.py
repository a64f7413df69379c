"""What holds for the mail of one domain over one site: the outcome of all rules that match."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.limits.limit import Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Numbers in force. Durations in seconds; see ``Delivery`` in the configuration for what each means."""

    provider: str = ""
    limits: tuple[Limit, ...] = ()
    messages_per_connection: int = 100
    connect_timeout: float = 30.0
    command_timeout: float = 300.0
    site_down: float = 60.0
    retry: tuple[float, ...] = ()
    """Delays one after the other, the last one for all further; empty: the curve below."""
    retry_first: float = 300.0
    retry_factor: float = 2.0
    retry_max: float = 14_400.0
    retry_jitter: float = 0.1
    max_attempts: int = 0
    expire: float = 432_000.0
    tls: str = "opportunistic"
    """``none``, ``opportunistic`` or ``required``."""
    ip_family: str = "both"
    """``both``, ``ipv4`` or ``ipv6``."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Field to where its value was written, for what is not the default."""


#: What holds where nothing is written.
DEFAULT = Policy()
