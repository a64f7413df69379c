"""What a click on "unsubscribe" does (RFC 8058): POST is the wish, GET only asks.

Scanners of mail follow every link, so nothing happens without POST; who has the token needs no login and no cookie.
"""

import time
from email.parser import BytesParser
from email.policy import HTTP
from html import escape
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from common.broker import Broker, BrokerFailure
from common.codes import printable
from common.entry import DEFAULT_POOL
from common.event import Event, Type
from common.ids import report_id
from common.queue.rows import message as rows_message
from common.suppression import store
from common.suppression.changes import suppress
from common.suppression.rules import Rules
from common.suppression.suppression import Source, folded
from common.unsubscribe import PATH, Click, Clicks

log = structlog.get_logger()

#: Bytes of a POST: a click has some hundred, and to take apart the worst of so many costs 60 ms.
MOST = 8 * 1024
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
}
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Unsubscribe</title>
<style>body {{font: 1.1rem sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem}}
button {{font: inherit; padding: .5em 1em}}</style></head>
<body><h1>Unsubscribe</h1>{}</body></html>
"""
_ASK = """<p>Mail of <b>{sender}</b> comes to <b>{recipient}</b>.</p>
<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">
<button>Unsubscribe</button></form>"""
_DONE = "<p>Done. <b>{recipient}</b> gets no more mail of <b>{sender}</b>.</p>"
_UNKNOWN = "<p>This link is not whole, or none of ours. Please use the one in the mail.</p>"
_LATER = "<p>That could not be done now. Please try again in a minute.</p>"
_NO_CLICK = "<p>Nothing was done: this is no request to unsubscribe.</p>"


def router(broker: Broker, rules: Rules) -> APIRouter:
    """The routes."""
    routes, keys = APIRouter(), Keys(broker)

    @routes.api_route(f"{PATH}{{token}}", methods=["GET", "HEAD"])
    async def ask(token: str) -> HTMLResponse:
        """A page with a button."""
        try:
            click = (await keys.clicks()).read(token)
        except BrokerFailure as failure:
            return _later(failure)
        return _page(_ASK, click=click) if click else _page(_UNKNOWN, 404)

    @routes.post(f"{PATH}{{token}}")
    async def unsubscribe(token: str, request: Request) -> HTMLResponse:
        """Do it. The body of who has no token is not looked at."""
        try:
            click = (await keys.clicks()).read(token)
            if not click:
                return _page(_UNKNOWN, 404)
            body = b""
            async for piece in request.stream():
                body += piece
                if len(body) > MOST:
                    return _page(_NO_CLICK, 413)
            if not is_one_click(body, request.headers.get("content-type", "")):
                return _page(_NO_CLICK, 400)
            await take(broker, rules, click)
        except BrokerFailure as failure:
            return _later(failure)
        return _page(_DONE, click=click)

    return routes


class Keys:
    """The key of the tokens, once the broker has told it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._clicks: Clicks | None = None

    async def clicks(self) -> Clicks:
        """Raises BrokerFailure."""
        if not self._clicks:
            self._clicks = Clicks(await store.key(self._broker))
        return self._clicks


async def take(broker: Broker, rules: Rules, click: Click) -> None:
    """Tell of a wish, and see to it; asked again it is nothing new. Raises BrokerFailure."""
    row = _row(click)
    there = await store.of(broker, folded(click.recipient))
    if any(one.source is Source.UNSUBSCRIBE and one.by == click.delivery for one in there):
        return
    await broker.store([rows_message(row.pool, [row])])
    if new := rules.unsubscribed(row):
        await suppress(broker, rules, new, row.pool)
    log.info("%s: unsubscribed by one click", click.delivery)


def _row(click: Click) -> Event:
    return Event(
        time=time.time(),
        type=Type.UNSUBSCRIBED,
        id=report_id(click.delivery, Type.UNSUBSCRIBED),
        submission=click.delivery.partition("-")[0],
        delivery=click.delivery,
        pool=click.pool or DEFAULT_POOL,
        sender=click.sender,
        recipient=click.recipient,
        domain=click.recipient.rpartition("@")[2],
        campaign=click.campaign,
        tags=(click.campaign,) if click.campaign else (),  # it is the first of them
        reason="one-click",
        text="one-click",
        webhook=click.webhook,
    )


def is_one_click(body: bytes, content_type: str) -> bool:
    """Whether a POST says so (RFC 8058 section 3.2), in either of the forms that it may have."""
    if not content_type.lower().startswith("multipart/form-data"):
        return parse_qs(body.decode("ascii", "replace")).get("List-Unsubscribe") == ["One-Click"]
    head = f"Content-Type: {printable(content_type)}\r\n\r\n".encode()
    parts = BytesParser(policy=HTTP).parsebytes(head + body)
    for part in parts.iter_parts() if parts.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        if name == "List-Unsubscribe":
            return bytes(part.get_payload(decode=True) or b"").strip() == b"One-Click"
    return False


def _page(text: str, status: int = 200, click: Click | None = None) -> HTMLResponse:
    names = {"sender": escape(click.sender), "recipient": escape(click.recipient)} if click else {}
    return HTMLResponse(_PAGE.format(text.format(**names)), status, _HEADERS)


def _later(failure: BrokerFailure) -> HTMLResponse:
    log.warning("unsubscribe: %s", failure)
    answer = _page(_LATER, 503)
    answer.headers["Retry-After"] = "60"
    return answer
