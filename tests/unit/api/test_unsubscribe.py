"""One-click unsubscribe (RFC 8058) at the role api: POST does it, once; GET asks; a wrong token is nobody's."""

import asyncio
import urllib.request
from typing import Any

import pytest
from api_support import Answer, Running, Start, _get

from api.unsubscribe import is_one_click
from common.broker import Broker
from common.event import unpack
from common.queue import listing
from common.suppression import store
from common.suppression.suppression import Source
from common.unsubscribe import Click, Clicks

ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"
CLICK = Click("01k804kgf54oikkgd218-1", "News@s.example", "Bob<i>@x.example", "default", "spring", "crm")
MULTIPART = (
    b"--AaB03x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--AaB03x--\r\n"
)


async def post(running: Running, token: str, body: bytes = ONE_CLICK, content_type: str = FORM) -> Answer:
    request = urllib.request.Request(
        f"http://{running.address}/u/{token}", body, {"Content-Type": content_type}, method="POST"
    )
    return await asyncio.to_thread(_get, request)


async def token(broker: Broker, click: Click = CLICK) -> str:
    return Clicks(await store.key(broker)).make(click)


async def told(broker: Broker) -> list[dict[str, Any]]:
    return [row async for stored in listing.walk(broker, "EVENTS", "e.>") for row in unpack(stored.body)]


async def test_one_click(start: Start, broker: Broker) -> None:
    async with start.api() as running:
        link = await token(broker)
        page = await running.get(f"/u/{link}")
        assert page.status == 200
        assert "<b>Bob&lt;i&gt;@x.example</b>" in page.text
        assert '<form method="post">' in page.text
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert (await running.get(f"/u/{link}", "HEAD")).status == 200
        assert await told(broker) == []
        done = await post(running, link)
        assert (done.status, "gets no more mail of <b>News@s.example</b>" in done.text) == (200, True)
        assert (await post(running, link, MULTIPART, "multipart/form-data; boundary=AaB03x")).status == 200
        row, admin = await told(broker)
        assert (row["type"], admin["type"]) == ("unsubscribed", "admin")
        # what webhooks choose by
        assert (row["campaign"], row["tags"], row["webhook"]) == ("spring", ["spring"], "crm")
    [one] = await store.of(broker, "bob<i>@x.example")
    assert (one.scope, one.source, one.until, one.by) == ("@s.example", Source.UNSUBSCRIBE, 0, CLICK.delivery)


async def test_what_is_no_click_does_nothing(start: Start, broker: Broker) -> None:
    async with start.api() as running:
        link = await token(broker)
        for body, type_, status in (
            (b"", FORM, 400), (b"List-Unsubscribe=no", FORM, 400), (b"x" * 70_000, FORM, 413),
            (MULTIPART.replace(b"One-", b"Two-"), "multipart/form-data; boundary=AaB03x", 400),
        ):  # fmt: skip
            assert (await post(running, link, body, type_)).status == status
        for wrong in (link[:-2], ("B" if link[0] == "A" else "A") + link[1:], "x", "%C3%BC"):
            assert (await post(running, wrong)).status == 404
            assert (await running.get(f"/u/{wrong}")).status == 404
    assert await told(broker) == []
    assert await store.of(broker, "bob<i>@x.example") == []


async def test_a_stranger_has_nothing_taken_apart(start: Start, broker: Broker) -> None:
    """Parts within parts took half a second of the role's time, or as many that Python's parser raised."""
    nested = b"".join(b"--b%d\r\nContent-Type: multipart/x; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(1300))
    async with start.api() as running:
        form = "multipart/form-data; boundary=b0"
        assert (await post(running, "x", nested, form)).status == 404
        assert (await post(running, await token(broker), nested, form)).status == 413
        assert (await post(running, await token(broker), nested[:8000], form)).status == 400


async def test_without_a_broker_it_is_to_be_tried_again(start: Start) -> None:
    start.nats.kill()
    async with start.api() as running:
        answer = await post(running, "x")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "60")


@pytest.mark.parametrize(
    ("body", "content_type", "clicked"),
    [
        (ONE_CLICK, FORM, True),
        (ONE_CLICK, "", True),
        (b"a=b&List-Unsubscribe=One-Click", FORM, True),
        (b"List-Unsubscribe=One-Click&List-Unsubscribe=x", FORM, False),
        (MULTIPART, 'Multipart/Form-Data; boundary="AaB03x"', True),
        (MULTIPART, "multipart/form-data", False),
        (MULTIPART, "multipart/form-data; boundary=other", False),
        (b"\xff\x00", "multipart/form-data; boundary=\xff\r\nX: y", False),
    ],
)
def test_the_forms_of_a_click(body: bytes, content_type: str, clicked: bool) -> None:
    assert is_one_click(body, content_type) == clicked
