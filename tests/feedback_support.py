"""Mail that comes back: bounces and complaints as others write them, sent by a stranger."""

import asyncio
import re
import smtplib
from dataclasses import dataclass, field
from typing import Any

from common.verp import HEADER, Tokens
from common.verp_keys import Keyring
from master.demo.sink_mail import Mail
from master.demo.world import World

DOMAIN = "bounces.mta.test"
#: A client that the listener does not know.
STRANGER = "127.0.0.9"
#: Settings of a world whose listener relays for 127.0.0.1 alone, and takes feedback.
SETTINGS: dict[str, dict[str, Any]] = {"feedback": {"domain": DOMAIN}, "listener": {"networks": ["127.0.0.1/32"]}}
_ID = re.compile(rf"^{HEADER}: (\S+)\r\n".encode(), re.MULTILINE)


def tokens(world: World) -> Tokens:
    """What the world's return paths are made with."""
    return Keyring(world.config.feedback, world.config.data_dir).tokens()


def token_in(mail: Mail) -> str:
    """The token in the header of a mail that a sink received."""
    match = _ID.search(mail.content[: mail.content.find(b"\r\n\r\n") + 2])
    assert match
    return match[1].decode()


def bounce(mail: Mail, **said: str) -> bytes:
    """A report of RFC 3464 on a mail that a sink took, with all of it; ``said`` as in ``report_on``."""
    [recipient] = mail.recipients
    return report_on(recipient, mail.sender, mail.content, **said)


def report_on(
    recipient: str,
    to: str = "",
    original: bytes = b"Subject: x\r\n\r\nhello\r\n",
    *,
    action: str = "failed",
    status: str = "5.1.1",
    text: str = "550 5.1.1 No such user",
    envid: str = "",
) -> bytes:
    """A report of RFC 3464."""
    envelope_id = f"Original-Envelope-Id: {envid}\r\n" if envid else ""
    return (
        f"From: MAILER-DAEMON@mx.remote.test\r\nTo: {to}\r\nSubject: Undelivered\r\n"
        "Message-ID: <bounce@mx.remote.test>\r\nDate: Fri, 21 Nov 2025 12:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b1"\r\n\r\n'
        "--b1\r\nContent-Type: text/plain\r\n\r\nYour mail could not be delivered.\r\n"
        f"--b1\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.remote.test\r\n{envelope_id}\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {text}\r\n"
        "\r\n--b1\r\nContent-Type: message/rfc822\r\n\r\n"
    ).encode() + original + b"\r\n--b1--\r\n"  # fmt: skip


def complaint(mail: Mail) -> bytes:
    """A report of RFC 5965 on a mail that a sink took: of the original there is the header, without who got it."""
    header = re.sub(rb"^To:.*\r\n", b"To: redacted\r\n", mail.content[: mail.content.find(b"\r\n\r\n") + 2], flags=re.M)
    return (
        b"From: fbl@provider.test\r\nTo: fbl@bounces.mta.test\r\nSubject: complaint\r\nMIME-Version: 1.0\r\n"
        b"Message-ID: <fbl@provider.test>\r\nDate: Fri, 21 Nov 2025 12:00:00 +0000\r\n"
        b'Content-Type: multipart/report; report-type=feedback-report; boundary="b1"\r\n\r\n'
        b"--b1\r\nContent-Type: text/plain\r\n\r\nThis is an abuse report.\r\n"
        b"--b1\r\nContent-Type: message/feedback-report\r\n\r\n"
        b"Feedback-Type: abuse\r\nUser-Agent: Loop/1.0\r\nVersion: 1\r\n"
        b"\r\n--b1\r\nContent-Type: text/rfc822-headers\r\n\r\n" + header + b"\r\n--b1--\r\n"
    )


@dataclass
class Said:
    """What a listener said to a stranger: to each RCPT, and to the mail."""

    rcpt: list[tuple[int, str]] = field(default_factory=list)
    code: int = 0
    text: str = ""

    @property
    def submission(self) -> str:
        """Under which id it is queued."""
        assert self.code == 250
        return self.text.rpartition(" ")[2]


async def come_back(port: int, content: bytes, *recipients: str, client: str = STRANGER, sender: str = "") -> Said:
    """A client brings mail to these recipients."""

    def send() -> Said:
        said = Said()
        with smtplib.SMTP("127.0.0.1", port, "mx.remote.test", source_address=(client, 0)) as smtp:
            smtp.ehlo()
            assert smtp.mail(sender)[0] == 250
            for recipient in recipients:
                code, text = smtp.rcpt(recipient)
                said.rcpt.append((code, text.decode()))
            if any(code == 250 for code, _ in said.rcpt):
                said.code, answer = smtp.data(content)
                said.text = answer.decode()
        return said

    return await asyncio.to_thread(send)
