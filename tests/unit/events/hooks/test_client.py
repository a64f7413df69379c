"""Requests to a real server: signed, bounded in time and size, and only to where they may go."""

import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hooks_support import SECRET, endpoint, receiving
from standardwebhooks import WebhookVerificationError
from tls_support import write_certificate

from common.webhook import Webhook, new_secret
from events.hooks.client import ANSWER, Answer, Client
from master.demo.dns_server import DnsServer
from master.sockets import free_port

BODY = '{"type":"message.delivered","data":{"text":"Größe"}}'.encode()


async def post(to: Webhook, nameservers: list[str] | None = None) -> Answer:
    async with Client(to, nameservers or []) as client:
        return await client.post("01k", BODY)


async def test_signed() -> None:
    async with receiving() as receiver:
        assert (await post(endpoint(receiver.url))).good
    [got] = receiver.got
    got.verify()
    assert (got.line, got.id, got.body) == ("POST /hooks?a=1 HTTP/1.1", "01k", BODY)
    assert got.headers["content-type"] == "application/json"
    got.body += b" "
    with pytest.raises(WebhookVerificationError):
        got.verify()


async def test_two_secrets_while_one_takes_the_place_of_the_other() -> None:
    other = new_secret()
    async with receiving() as receiver:
        await post(endpoint(receiver.url, secrets=[SECRET, other]))
    for secret in (SECRET, other):
        receiver.got[0].verify(secret)
    with pytest.raises(WebhookVerificationError):
        receiver.got[0].verify(new_secret())


async def test_credentials_and_further_fields() -> None:
    async with receiving() as receiver:
        await post(endpoint(receiver.url, username="jörg", password="a:b", headers={"X-Key": "k"}))
        await post(endpoint(receiver.url, bearer="token"))
    basic, bearer = receiver.got
    assert basic.headers["authorization"] == f"Basic {base64.b64encode('jörg:a:b'.encode()).decode()}"
    assert (basic.headers["x-key"], bearer.headers["authorization"]) == ("k", "Bearer token")


async def test_a_connection_is_used_again() -> None:
    async with receiving() as receiver, Client(endpoint(receiver.url), []) as client:
        for _ in range(5):
            assert (await client.post("01k", BODY)).good
    assert receiver.connections == 1


@pytest.mark.parametrize(
    ("answer", "status", "good"),
    [("204", 204, True), ("500\n\nsorry", 500, False), ("410", 410, False), ("302\nLocation: /x", 302, False)],
)
async def test_answers(answer: str, status: int, good: bool) -> None:
    async with receiving(lambda _n, _got: answer) as receiver:
        got = await post(endpoint(receiver.url))
    assert (got.status, got.good, len(receiver.got)) == (status, good, 1)


async def test_a_redirect_is_not_followed() -> None:
    async with receiving() as other, receiving(lambda _n, _got: f"307\nLocation: {other.url}") as receiver:
        assert (await post(endpoint(receiver.url))).status == 307
    assert other.got == []


async def test_how_long_to_leave_it_alone() -> None:
    asked = ("120", "Wed, 21 Oct 2026 07:28:00 GMT")
    async with receiving(lambda n, _got: f"429\nRetry-After: {asked[n]}") as receiver:
        assert [(await post(endpoint(receiver.url))).retry_after for _ in range(2)] == [120, 0]


async def test_of_an_answer_a_little_is_read() -> None:
    async with receiving(lambda _n, _got: f"200\n\n{'x' * 10**7}") as receiver:
        answer = await post(endpoint(receiver.url))
    assert (answer.good, len(answer.text)) == (True, ANSWER)


async def test_an_answer_that_does_not_end_is_one() -> None:
    async with receiving(lambda _n, _got: "200\nTransfer-Encoding: chunked") as receiver:
        assert (await post(endpoint(receiver.url))).good


@pytest.mark.parametrize(("what", "said"), [("hang", "no answer within 0.2 s"), ("reset", "")])
async def test_no_answer(what: str, said: str) -> None:
    async with receiving(lambda _n, _got: what) as receiver:
        answer = await post(endpoint(receiver.url, timeout="200ms"))
    assert (answer.status, answer.good) == (0, False)
    assert said in str(answer) != ""


async def test_nobody_listens() -> None:
    answer = await post(endpoint(f"http://127.0.0.1:{free_port()}/"))
    assert "refused" in str(answer).lower()


@pytest.mark.parametrize("answer", ["x", "200\nContent-Length: 1\nContent-Length: 2"])
async def test_what_is_said_of_an_odd_answer_has_no_secret_of_the_url(answer: str) -> None:
    async with receiving(lambda _n, _got: answer) as receiver:
        said = str(await post(endpoint(f"http://127.0.0.1:{receiver.port}/services/T0KEN?key=T0KEN")))
    assert said
    assert "T0KEN" not in said
    assert "127.0.0.1" not in said


async def test_tls_is_verified(tmp_path: Path) -> None:
    files = write_certificate(tmp_path, "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files["tls_cert"], files["tls_key"])
    async with receiving() as plain:
        await plain.stop()
        await plain.start(tls=context)
        url = f"https://localhost:{plain.port}/"
        assert "certificate verify failed" in str(await post(endpoint(url)))
        assert (await post(endpoint(url, ca=files["tls_cert"]))).good
        assert "mismatch" in str(await post(endpoint(url.replace("localhost", "127.0.0.1"), ca=files["tls_cert"])))


# --- where they go ---


def guarded(url: str) -> Webhook:
    """An endpoint whose URL was changed after it was checked, as no configuration can have it."""
    return endpoint("https://crm.example.com/", allow_internal=False).model_copy(update={"url": url})


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "0x7f.1", "localhost"]
)
async def test_internal_addresses_are_refused(host: str) -> None:
    async with receiving() as receiver:
        answer = await post(guarded(f"http://{host}:{receiver.port}/"))
    assert answer.refused, answer
    assert "internal address" in str(answer)
    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0177.0.0.1"])
async def test_odd_ways_to_write_addresses_are_refused(host: str) -> None:
    async with receiving() as receiver:
        answer = await post(guarded(f"http://{host}:{receiver.port}/"))
    assert (answer.status, receiver.connections) == (0, 0)


async def test_every_address_of_a_name_is_looked_at() -> None:
    async with receiving() as receiver, _dns() as dns:
        dns.zone.add("one.test", "A", "192.88.99.7", "127.0.0.1")
        dns.zone.add("six.test", "AAAA", "::ffff:127.0.0.1")
        for name in ("one.test", "six.test"):
            answer = await post(guarded(f"http://{name}:{receiver.port}/"), [dns.address])
            assert answer.refused, answer
    assert receiver.connections == 0


async def test_a_name_is_asked_of_the_configured_nameservers() -> None:
    async with receiving() as receiver, _dns() as dns:
        dns.zone.add("crm.test", "A", "127.0.0.1")
        url = f"http://crm.test:{receiver.port}/"
        assert (await post(endpoint(url), [dns.address])).good
        assert "none.test" in str(await post(endpoint(url.replace("crm", "none")), [dns.address]))
    assert receiver.got[0].headers["host"] == f"crm.test:{receiver.port}"


async def test_a_name_that_changes_its_address_does_not_get_inside() -> None:
    """What is connected to is what was looked at: DNS is asked once for a connection."""
    async with receiving() as receiver, _dns() as dns:
        dns.zone.add("crm.test", "A", "127.0.0.1")
        async with Client(endpoint(f"http://crm.test:{receiver.port}/"), [dns.address]) as client:
            assert (await client.post("1", BODY)).good
            assert dns.questions["crm.test", "A"] == 1
            dns.zone.add("crm.test", "A", "127.0.0.9")  # where nobody listens
            assert (await client.post("2", BODY)).good
    assert receiver.connections == 1


@contextlib.asynccontextmanager
async def _dns() -> AsyncIterator[DnsServer]:
    dns = DnsServer()
    await dns.start()
    try:
        yield dns
    finally:
        await dns.stop()
