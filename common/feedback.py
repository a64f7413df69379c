"""What mail comes back to and what is done about it, as it is configured: ``[feedback]``, ``[auto_reply]``,
``[unsubscribe]``."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from common.addresses import MAX_LOCAL_PART
from common.section import Duration, Hostname, Mailbox, Section, written


def _secret(text: str) -> str:
    try:
        long_enough = len(bytes.fromhex(text)) >= 32
    except ValueError:
        long_enough = False
    if not long_enough:  # not shown: it may be one with a slip
        raise ValueError("a key has 64 hexadecimal digits or more; 'openssl rand -hex 32' makes one")
    return text


class Feedback(Section):
    """Bounces, complaints and replies that come back by mail."""

    domain: Hostname = Field(
        "",
        description='mail leaves with a return path there, a signed token, and mail to it is feedback; "" is off; its '
        "MX is this machine",
    )
    addresses: list[str] = Field(
        ["fbl", "abuse", "postmaster", "unsubscribe"],
        description="what else takes mail there, from everybody; postmaster always does (RFC 5321 4.5.1)",
    )
    client_rate: int = Field(
        60, ge=0, description="mails to these addresses in a minute from one address (IPv6: /64); 0 is no limit"
    )
    rate: int = Field(600, ge=0, description="and from everybody; each process of a listener counts for itself")
    token_rate: int = Field(
        30, ge=0, description="mails to one return path in an hour, counted likewise; 0 is no limit"
    )
    valid: Duration = written("60d", description="how long after it was sent mail to a return path is taken")
    secrets: list[Annotated[str, AfterValidator(_secret)]] = Field(
        [],
        description="what return paths are signed with, hexadecimal; the first signs, all are accepted; [] has its own "
        "in data_dir/feedback.key; several machines need the same",
    )
    pass_on: bool = Field(
        True, description="what comes to a return path goes on to the sender of the mail (RFC 3461 6.1)"
    )
    forward_replies: Mailbox = Field(
        "", description='a person who gets what people answer, instead of the sender of the mail; "" is nobody'
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.domain and self.forward_replies.endswith(f"@{self.domain}"):
            raise ValueError("forward_replies: must not be in feedback.domain, or it would come back")
        for name in self.addresses:
            if not re.fullmatch(r"[a-z0-9]+([._-][a-z0-9]+)*", name) or len(name) > MAX_LOCAL_PART:
                raise ValueError(f"addresses: {name!r} is no local part such as fbl, in lower case")
        if self.domain and ("." not in self.domain or self.domain.startswith("[")):
            raise ValueError("domain: must be a name in DNS, such as bounces.example.net")
        if self.valid < 86_400:
            raise ValueError("valid: 1d is the least")
        return self


class AutoReply(Section):
    """The answer to people who answer to the return path of a mail, by a template (RFC 3834)."""

    text: str = Field(
        "", description='file in UTF-8, in which $subject and $sender stand for those of the mail; "" answers nobody'
    )
    sender: Mailbox = Field("", description="From of the answer")
    subject: str = Field("Auto: $subject", description="its subject")
    every: Duration = written("7d", description="an address gets one answer in so long")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.text and not self.sender:
            raise ValueError("sender: text needs it")
        if self.every < 3600:
            raise ValueError("every: 1h is the least")
        return self


class Unsubscribe(Section):
    """Links for one-click unsubscribe (RFC 8058), on mail that has the option unsubscribe."""

    url: str = Field(
        "",
        description="such as https://news.example.net: what comes before /u/…, which your web server passes on to "
        '[api] bind; "" is none',
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.url and not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?", self.url):
            raise ValueError("url: must be a URL such as https://news.example.net")
        return self
