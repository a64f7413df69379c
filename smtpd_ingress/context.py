"""What every session of a listener needs to know, worked out once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from ssl import SSLContext
from typing import Protocol, Self

from common.addresses import Address, parse_mailbox
from common.config import Config
from common.entry import Entry
from common.event import Event
from common.listener import Listener
from common.options import NOTHING, Options
from common.suppression.suppressions import Suppressions
from smtpd_ingress.feedback import Feedback
from smtpd_ingress.logins import Logins
from smtpd_ingress.memory import Memory
from smtpd_ingress.quota import Quotas
from smtpd_ingress.rejection import OnReject
from smtpd_ingress.tls import certificate_of

#: Whether a message of so many bytes would be taken now.
HasRoom = Callable[[int], bool]
Networks = tuple[IPv4Network | IPv6Network, ...]


class Submit(Protocol):
    """The queue, as sessions use it."""

    def __call__(self, entries: list[Entry], content: bytes, *rows: Event) -> Awaitable[None]:
        """Store entries (without content), the content's stored form and rows, the ``accepted`` one first.

        All or nothing; raises ``common.submit_error.SubmitError``.
        """


def always(_size: int) -> bool:
    """For who has no queue that may be full."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One listener and its surroundings."""

    hostname: str
    listener: Listener
    networks: Networks
    xclient: Networks = ()
    proxies: Networks = ()
    postmaster: Address | None
    pools: tuple[str, ...]
    webhooks: tuple[str, ...] = ()
    """Endpoints that mail may name."""
    expire: float
    """Seconds from acceptance, for mail sent later from its due time."""
    memory: Memory
    submit: Submit
    on_reject: OnReject
    has_room: HasRoom = always
    tls: Callable[[], SSLContext] | None = None
    """Gives what the next handshake needs; None: no TLS here."""
    logins: Logins | None = None
    """Checks who logs in; None: AUTH is not offered here."""
    quotas: Quotas | None = None
    feedback: Feedback | None = None
    """Knows who may bring mail to ``feedback.domain``; None: there is none."""
    kept_fields: tuple[str, ...] = ()
    """Fields of the header that controls can match, lower case."""
    defaults: Options = NOTHING
    """Of mail that comes by this listener."""
    suppressions: Suppressions = field(default_factory=Suppressions)
    has_unsubscribe: bool = False
    """Whether there is a link for mail that asks for one."""
    refuse_suppressed: bool = True
    """Whether RCPT is where a suppressed recipient is told of; else its mail is taken and not sent."""

    @classmethod
    def of(
        cls,
        config: Config,
        listener: Listener,
        submit: Submit,
        on_reject: OnReject,
        logins: Logins | None = None,
        quotas: Quotas | None = None,
        has_room: HasRoom = always,
        feedback: Feedback | None = None,
        suppressions: Suppressions | None = None,
    ) -> Self:
        """From the configuration; ``logins`` are left out where it has no AUTH. Raises BadCertificateError."""
        return cls(
            hostname=config.hostname,
            listener=listener,
            networks=_networks(listener.networks),
            xclient=_networks(listener.xclient),
            proxies=_networks(listener.proxy),
            postmaster=parse_mailbox(config.postmaster) if config.postmaster else None,
            pools=tuple(config.pools),
            expire=config.delivery.expire,
            memory=Memory(listener.max_memory),
            submit=submit,
            on_reject=on_reject,
            has_room=has_room,
            tls=certificate_of(listener),
            logins=logins if listener.auth != "none" else None,
            quotas=quotas,
            feedback=feedback,
            kept_fields=tuple(config.controls.headers),
            suppressions=Suppressions() if suppressions is None else suppressions,
            has_unsubscribe=bool(config.unsubscribe.url),
            refuse_suppressed=config.suppression.at_rcpt == "refuse",
            webhooks=config.webhook_names,
            defaults=listener.default_options(config.pools, config.webhook_names),
        )

    def may_relay(self, client: str) -> bool:
        """Whether mail from this address goes anywhere."""
        return _is_in(client, self.networks)

    def may_xclient(self, client: str) -> bool:
        """Whether this address may say for whom it speaks."""
        return _is_in(client, self.xclient)

    def is_proxy(self, client: str) -> bool:
        """Whether connections from this address begin with a PROXY header."""
        return _is_in(client, self.proxies)


def _networks(written: list[str]) -> Networks:
    return tuple(map(ip_network, written))


def _is_in(client: str, networks: Networks) -> bool:
    if not networks:
        return False
    address = ip_address(client)
    return any(address in network for network in networks)


def client_address(peername: tuple[str, int]) -> str:
    """A socket's peer as an address without zone; IPv4 also where an IPv6 socket took it."""
    address = ip_address(peername[0].partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)
