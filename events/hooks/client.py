"""One endpoint by HTTP: signed requests over connections of its own, to addresses that were looked at.

A name is looked up once, every address of it is checked, and what is connected to is one of those: a second answer of
its DNS changes nothing. Redirects are not followed, TLS is verified, of the answer a little is read.
"""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import aiohttp
import dns.asyncresolver
import dns.exception
import dns.nameserver
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook as Signer
from yarl import URL

from common.errors import ConfigError
from common.internal import is_internal
from common.section import split_host_port
from common.thread import in_thread
from common.webhook import Webhook

USER_AGENT = "Postjet"
#: Bytes of an answer that are read, and seconds that this may take.
ANSWER, ANSWER_TIME = 2000, 1.0
#: Seconds that a connection is kept: many servers close theirs after 5, and what is on its way by then fails.
IDLE = 4.0


class RefusedAddressError(OSError):
    """An internal address, where none is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a request."""

    status: int = 0
    """HTTP's; 0: there was none."""
    text: str = ""
    """The beginning of the body; of a failure without status what went wrong."""
    seconds: float = 0
    retry_after: float = 0
    """Seconds that it asked to be left alone; 0: it did not."""
    refused: bool = False
    """It was not asked: its address is internal."""

    @property
    def good(self) -> bool:
        """Whether the endpoint has it."""
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return f"HTTP {self.status}" if self.status else self.text


class Client:
    """Use as an async context manager. ``nameservers``: as ``[dns]`` has them; none: the system's way to look up."""

    def __init__(self, endpoint: Webhook, nameservers: list[str]) -> None:
        self.endpoint = endpoint
        self._signers = [Signer(secret) for secret in endpoint.secrets]
        self._connector = aiohttp.TCPConnector(
            resolver=_Resolver(nameservers, endpoint.allow_internal),
            limit=endpoint.parallel,
            ssl=tls_of(endpoint),
            keepalive_timeout=IDLE,
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=endpoint.timeout),
            auto_decompress=False,
            headers={
                **endpoint.headers, "Content-Type": "application/json", "User-Agent": USER_AGENT,
                "Accept-Encoding": "identity", **_authorization(endpoint),
            },
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(self, identifier: str, body: bytes) -> Answer:
        """Send a message, once. Never raises for what endpoint, network or DNS do."""
        started = time.monotonic()
        try:
            self._check_literal()
            # allow_redirects: where it points was not looked at
            async with self._session.post(
                self.endpoint.url, data=body, headers=self._signed(identifier, body), allow_redirects=False
            ) as response:
                seconds = time.monotonic() - started
                text = await _beginning(response)
                asked = response.headers.get("Retry-After", "")
                return Answer(
                    status=response.status, text=text, seconds=seconds,
                    retry_after=float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 0,
                )  # fmt: skip
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            seconds = time.monotonic() - started
            why = _why(error, self.endpoint.timeout)
            return Answer(text=why, seconds=seconds, refused=isinstance(_cause(error), RefusedAddressError))

    def _signed(self, identifier: str, body: bytes) -> dict[str, str]:
        """Standard Webhooks 1.0: every secret signs id, time and body."""
        now = datetime.now(UTC)
        signatures = (signer.sign(identifier, now, body.decode()) for signer in self._signers)
        return {
            "webhook-id": identifier, "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }  # fmt: skip

    def _check_literal(self) -> None:
        """aiohttp looks up no addresses."""
        host = URL(self.endpoint.url).host or ""
        if not self.endpoint.allow_internal and is_internal(host, unknown=False):
            raise _refused(host, host)


def tls_of(endpoint: Webhook) -> ssl.SSLContext:
    """What connections to an endpoint are verified with. Raises ConfigError."""
    try:
        return ssl.create_default_context(cafile=endpoint.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"webhook {endpoint.name}: ca: {endpoint.ca}: {error.strerror or error}") from None


def _authorization(endpoint: Webhook) -> dict[str, str]:
    if endpoint.bearer:
        return {"Authorization": f"Bearer {endpoint.bearer}"}
    if endpoint.username:
        return {"Authorization": aiohttp.encode_basic_auth(endpoint.username, endpoint.password)}
    return {}


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """Some of the body: it decides nothing. Read to its end the connection can be used again."""
    read = b""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_TIME):
            while len(read) < ANSWER and (some := await response.content.read(ANSWER - len(read))):
                read += some
    return read.decode("utf-8", "replace")


def _cause(error: BaseException) -> BaseException:
    """What aiohttp wrapped."""
    found = getattr(error, "os_error", None) or error.__cause__
    return found if isinstance(found, OSError) else error


def _why(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL):
        # their texts have the URL, which may have a secret
        return " ".join(getattr(error, "message", "it has no URL that can be asked").split())[:300]
    cause = _cause(error)
    if isinstance(cause, ConnectionError) and cause.errno:
        return os.strerror(cause.errno)
    said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(str(said).split())[:300]


def _refused(host: str, address: str) -> RefusedAddressError:
    return RefusedAddressError(
        errno.EACCES, f"{host} is at the internal address {address}; not asked, it would need allow_internal = true"
    )


class _Resolver(AbstractResolver):
    """Looks names up, and gives addresses only where all of them may be connected to."""

    def __init__(self, nameservers: list[str], allow_internal: bool) -> None:
        self._allow_internal = allow_internal
        self._dns: dns.asyncresolver.Resolver | None = None
        if nameservers:
            self._dns = dns.asyncresolver.Resolver(configure=False)
            servers = (split_host_port(server, 53) for server in nameservers)
            self._dns.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in servers]

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError."""
        addresses = await self._look_up(host)
        for address in () if self._allow_internal else addresses:
            if is_internal(address):
                raise _refused(host, address)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            )
            for address in addresses
        ]  # fmt: skip

    async def _look_up(self, host: str) -> list[str]:
        if not self._dns:
            # a thread of its own: many that hang must not keep others from looking up
            found = await in_thread(lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
            return list(dict.fromkeys(str(address[0]) for *_, address in found))
        try:
            answers = await self._dns.resolve_name(host)
        except dns.exception.DNSException as error:
            raise OSError(errno.EHOSTUNREACH, f"{host}: {error}") from error
        return list(answers.addresses())

    async def close(self) -> None:
        """Nothing is open."""
