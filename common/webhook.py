"""An endpoint of webhooks as the configuration has it. No I/O."""

import base64
import binascii
import os
import re
from typing import Annotated, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from common.event import Type
from common.internal import is_internal
from common.section import Duration, Section, written

#: Ports outside one's own network: those of the web, and those that no service of a system has.
_WEB_PORTS, _FREE_PORTS = (80, 443), 1024
_URL = re.compile(r"https?://[^\s/?#\\@]+([/?][^\s#\\]*)?", re.ASCII | re.IGNORECASE)
#: RFC 9110 5.6.2 and 5.5: a field's name and value.
_FIELD_NAME, _FIELD_VALUE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"), re.compile(r"[!-~]([ -~]*[!-~])?")
#: Fields that are ours to set.
_OURS = ("content-type", "content-length", "host", "authorization", "transfer-encoding", "connection", "user-agent")


_T = TypeVar("_T")
_Several = Annotated[tuple[_T, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
_Lower = Annotated[str, AfterValidator(str.lower)]


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", text):
        raise ValueError("a webhook's name has lower-case letters, digits, - and _, at most 32; the first is no - or _")
    return text


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        # not repeated: a password may stand in it
        raise ValueError("is no URL such as https://app.example.com/hooks/mail, without user or fragment")
    urlsplit(text).port  # noqa: B018  raises ValueError where it is none
    return text


def _secret(text: str) -> str:
    # Standard Webhooks 1.0: 24 to 64 bytes
    try:
        size = len(base64.b64decode(text.removeprefix("whsec_"), validate=True))
    except binascii.Error:
        size = 0
    if not text.startswith("whsec_") or not 24 <= size <= 64:
        raise ValueError("a secret is whsec_ and 24 to 64 bytes in base64; 'postjet webhook secret' makes one")
    return text


def _some(secrets: tuple[str, ...]) -> tuple[str, ...]:
    if not secrets:
        raise ValueError("one is needed at least; 'postjet webhook secret' makes it")
    return secrets


def new_secret() -> str:
    """A secret to sign with, of 32 random bytes."""
    return f"whsec_{base64.b64encode(os.urandom(32)).decode()}"


class Webhook(Section):
    """An endpoint that is told by HTTP what happens ([how-to](how-to/webhooks.md)); there may be several."""

    name: Annotated[str, AfterValidator(_name)] = Field(description="mail names it so in X-Postjet-Webhook")
    url: Annotated[str, AfterValidator(_url)] = Field(description="https; http needs allow_internal")
    secrets: Annotated[tuple[Annotated[str, AfterValidator(_secret)], ...], AfterValidator(_some)] = Field(
        description="whsec_…: each signs; two of them while one takes the place of the other"
    )
    types: _Several[Type] = Field((), description="of events; [] is all but rejected and admin")
    only_named: bool = Field(False, description="only events of mail that names it; what follows chooses among others")
    pool: _Several[str] = Field((), description="one or several; [] is any, and so it is below")
    campaign: _Several[str] = ()
    tag: _Several[str] = Field((), description="one of them is enough")
    sender: _Several[_Lower] = Field((), description="app@a.example, or @a.example for all of a domain")
    domain: _Several[_Lower] = Field((), description="of recipients")
    username: str = Field("", description="for HTTP's basic authentication")
    password: str = ""
    bearer: str = Field("", description="a token, in place of username and password")
    headers: dict[str, str] = Field({}, description="further fields of the request")
    ca: str = Field("", description='a file of certificates to trust; "" trusts those the system does')
    allow_internal: bool = Field(False, description="it may be at an internal address, at any port, without TLS")
    parallel: int = Field(10, ge=1, le=100, description="requests at a time, of all processes together")
    timeout: Duration = written("10s", description="of a request, from DNS to the answer; 30s at most")
    expire: Duration = written("3d", description="how long one is tried again")
    disable_after: Duration = written("5d", description="an endpoint that fails for so long is disabled")
    max_waiting: int = Field(100_000, ge=1, description="that wait to be sent; more are left out, and that is told")

    @property
    def shown_url(self) -> str:
        """Fit to be shown: what follows the host may be a secret, many chat services put a token there."""
        return re.sub(r"(://[^/?]+)[/?].+", r"\1/***", self.url)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.bearer and (self.username or self.password):
            raise ValueError("bearer: goes without username and password; keep one of them")
        if ":" in self.username or not (self.username + self.password + self.bearer).isprintable():
            raise ValueError("username: has no colon, and neither it nor password or bearer what cannot be printed")
        for name, value in self.headers.items():
            if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
                raise ValueError(f"headers: {name!r} is no field with a value of printable ASCII")
            if name.lower() in _OURS or name.lower().startswith("webhook-"):
                raise ValueError(f"headers: {name} is set by Postjet; take it out")
        for key, least, most in (("timeout", 0.1, 30), ("expire", 1, 30 * 86_400), ("disable_after", 1, 365 * 86_400)):
            if not least <= getattr(self, key) <= most:
                raise ValueError(f"{key}: must be {least:g}s to {most}s")
        if not self.allow_internal:
            self._check_public()
        return self

    def _check_public(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme.lower() != "https":
            raise ValueError("url: must be https, or allow_internal = true for one in your own network")
        if parts.port and parts.port < _FREE_PORTS and parts.port not in _WEB_PORTS:
            raise ValueError(f"url: port {parts.port} needs allow_internal = true")
        if is_internal(parts.hostname or "", unknown=False):
            raise ValueError(f"url: {parts.hostname} is an internal address; it needs allow_internal = true")
