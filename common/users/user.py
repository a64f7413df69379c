"""A user: what is stored of one, and what it may do."""

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from common.addresses import normal_domain, parse_mailbox
from common.policies.rules import listed
from common.section import Section
from common.units import Rate, parse_rate
from common.users.credentials import Verifier, is_hash
from common.users.saslprep import saslprep

ANY = "*"
_NAME = re.compile(r"[\w.@+][\w.@+-]{0,127}")


def user_name(text: str) -> str:
    """A user's name in its one form. Raises ValueError."""
    try:
        name = saslprep(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no name for a user: {error}") from None
    if not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is no name for a user; use letters, digits and . _ @ + -, at most 128")
    return name


def _sender(text: str) -> str:
    """``*``, ``a@example.com``, ``@example.com`` or ``@*.example.com``, the domain in its normal form."""
    text = text.strip()
    local, at, domain = text.rpartition("@")
    if text == ANY:
        return text
    try:
        if local or not at:
            return str(parse_mailbox(text))
        below = "*." if domain.startswith("*.") else ""
        return f"@{below}{normal_domain(domain.removeprefix(below))}"
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no sender ({error}); write a@example.com, @example.com, @*.example.com or * for any"
        ) from None


def _hash(text: str) -> str:
    if not is_hash(text):
        raise ValueError("not an argon2 hash")
    return text


def _scram(text: str) -> str:
    Verifier.unpack(text)
    return text


_Rate = Annotated[Rate, BeforeValidator(parse_rate), PlainSerializer(str)]
_Texts = Annotated[tuple[str, ...], BeforeValidator(listed)]


class User(Section):
    """One who may log in to send. What is written here is what ``postjet user set`` takes."""

    name: Annotated[str, AfterValidator(user_name)]
    password_hash: Annotated[str, AfterValidator(_hash)] = Field(repr=False)
    scram: Annotated[str, AfterValidator(_scram)] = Field(repr=False)
    senders: Annotated[tuple[Annotated[str, AfterValidator(_sender)], ...], BeforeValidator(listed)] = Field(
        (ANY,), min_length=1, description="envelope senders allowed: a@example.com, @example.com, @*.example.com, *"
    )
    pools: _Texts = Field((ANY,), min_length=1, description="pools that its mail may choose; * is any")
    options: dict[str, _Texts] = Field(
        {}, description="options of its mail that does not set them, by the header fields' names without X-Postjet-"
    )
    rate: Annotated[tuple[_Rate, ...], BeforeValidator(listed)] = Field(
        (), description="mails in any so long: 100/m, 5000/h; several hold at once"
    )
    quota: int = Field(0, ge=0, description="recipients in any 24 hours; 0 is no limit")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for pool in self.options.get("pool", ()):
            if not self.may_use(pool):
                raise ValueError(f"options: pool {pool!r} is none of this user's pools: {', '.join(self.pools)}")
        return self

    @property
    def verifier(self) -> Verifier:
        """For SCRAM-SHA-256."""
        return Verifier.unpack(self.scram)

    def may_send_as(self, sender: str) -> bool:
        """Whether an envelope sender (``str(Address)``; ``""`` for the null reverse-path) is the user's.

        The null reverse-path is everybody's: reports and automatic answers have it (RFC 5321 4.5.5). A local part is
        compared with its case (RFC 5321 2.4).
        """
        if not sender or ANY in self.senders or sender in self.senders:
            return True
        domain = sender.rpartition("@")[2]
        return any(
            allowed == f"@{domain}" or (allowed.startswith("@*.") and domain.endswith(allowed[2:]))
            for allowed in self.senders
        )

    def may_use(self, pool: str) -> bool:
        """Whether its mail may go into a pool."""
        return ANY in self.pools or pool in self.pools

    def stored(self) -> dict[str, Any]:
        """Its stored form, for JSON."""
        return self.model_dump(mode="json")

    def shown(self) -> dict[str, Any]:
        """What people may see: all but hash and verifier."""
        return self.model_dump(mode="json", exclude={"password_hash", "scram"})
