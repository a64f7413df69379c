"""What /healthz and /readyz say while this or that is away."""

import asyncio
import signal
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from api_support import Running, Start
from queue_support import submit
from support import make_entry, until
from tls_support import write_certificate

from common.broker import Broker, BrokerFailure, Message
from common.feedback import Feedback
from common.listener import Listener
from common.queue import leases


async def all_well(api: Running, broker: Broker) -> None:
    """As if a worker and a recorder were there."""
    await until(lambda: api.role.broker.client.is_connected)
    await until(lambda: _has_leases(broker))
    for key in ("worker.default.w0", "recorder"):
        await leases.renew(broker, key, "somebody")


async def _has_leases(broker: Broker) -> bool:
    """Streams in memory go with the broker; who connects again makes them."""
    try:
        await broker.api("STREAM.INFO.KV_leases")
    except BrokerFailure:
        return False
    return True


async def ready(api: Running) -> bool:
    return (await api.get("/readyz")).status == 200


async def test_ready(start: Start, broker: Broker) -> None:
    async with start.api() as api:
        await all_well(api, broker)
        await until(lambda: ready(api))  # the connection that asks whether writes are synced comes a moment later
        assert (await api.get("/readyz")).json == {"status": "ready", "degraded": []}
        assert (await api.get("/healthz")).json == {"status": "alive"}
        assert (await api.get("/readyz", "HEAD")).status == 200


async def test_no_worker(start: Start, broker: Broker) -> None:
    async with start.api() as api:
        await all_well(api, broker)
        await until(lambda: ready(api))
        await leases.give_up(broker, "worker.default.w0")
        answer = await api.get("/readyz")
        assert answer.status == 503
        assert answer.headers["content-type"] == "application/problem+json"
        missing = "workers of pool default: none is alive"
        assert answer.json == {
            "type": "about:blank", "title": "Not ready", "status": 503, "detail": missing, "missing": [missing],
            "degraded": [],
        }  # fmt: skip


async def test_recorder_and_clickhouse_away_keep_no_mail_out(start: Start, broker: Broker) -> None:
    start.clickhouse_url = "http://u:p@127.0.0.1:1/postjet"
    async with start.api() as api:
        await all_well(api, broker)
        await leases.give_up(broker, "recorder")
        await until(lambda: ready(api))
        degraded = (await api.get("/readyz")).json["degraded"]
        assert [line.partition(":")[0] for line in degraded] == ["recorder", "clickhouse"]


async def test_nobody_reads_feedback(start: Start, broker: Broker) -> None:
    start.feedback = Feedback(domain="bounces.example.net")
    async with start.api() as api:
        await all_well(api, broker)
        await until(lambda: ready(api))
        waits = "feedback: nobody reads it; bounces and complaints wait"
        assert (await api.get("/readyz")).json["degraded"] == [waits]
        await leases.renew(broker, f"{leases.FEEDBACK}.somebody", "somebody")
        assert (await api.get("/readyz")).json["degraded"] == []


async def test_no_room(start: Start, broker: Broker) -> None:
    start.max_store = 1
    await submit(broker, make_entry())
    async with start.api() as api:
        await all_well(api, broker)
        await until(lambda: _says(api, "room: "))


async def test_ready_again_when_intake_resumes(start: Start, broker: Broker) -> None:
    """What has stopped resumes at another mark: between them it depends on where it came from."""
    piece, used = Message("b.default.x", bytes(50_000)), 0
    start.max_store = 1_000_000
    async with start.api() as api:
        await all_well(api, broker)
        while used < 750_000:
            await broker.put(piece)
            used = (await broker.api("INFO"))["storage"]
        await until(lambda: ready(api))
        await broker.put(piece)
        assert await _says(api, "room: ")
        await broker.remove("BODY", 1)
        assert 720_000 < (await broker.api("INFO"))["storage"] < 800_000
        assert await _says(api, "room: ")
        assert "postjet_queue_room 0.0" in (await api.get("/metrics")).text
        for sequence in (2, 3):
            await broker.remove("BODY", sequence)
        await until(lambda: ready(api))
        assert "postjet_queue_room 1.0" in (await api.get("/metrics")).text


async def test_a_broker_that_does_not_sync(start: Start, broker: Broker) -> None:
    config = start.nats.folder / "run/nats.conf"
    write = type(config).write_text

    def unsynced(path: object, text: str) -> int:
        return write(path, text.replace("sync_interval: always", ""))  # type: ignore[arg-type]

    start.nats.kill()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(config), "write_text", unsynced)
        start.nats.start()
    async with start.api() as api:
        await until(lambda: _says(api, "broker's sync: it does not sync every write"))


async def _says(api: Running, beginning: str) -> bool:
    answer = await api.get("/readyz")
    return answer.status == 503 and any(line.startswith(beginning) for line in answer.json["missing"])


async def test_the_broker_goes_and_comes_back(start: Start, broker: Broker) -> None:
    start.nats.kill()
    async with start.api() as api:  # it starts without
        assert (await api.get("/healthz")).status == 200
        assert await _says(api, "broker: ")
        start.nats.start()
        await all_well(api, broker)
        await until(lambda: ready(api))
        start.nats.freeze()  # a connection, and no answer
        try:
            assert await _says(api, "broker: no answer within 2 s")
            assert 'postjet_up{part="broker"} 0.0' in (await api.get("/metrics")).text
        finally:
            start.nats.thaw()
        await all_well(api, broker)
        await until(lambda: ready(api))


@pytest.mark.parametrize("greeting", ["220 mta.test ESMTP", "421 4.3.2 Too many connections", ""])
async def test_listeners_must_greet(start: Start, broker: Broker, greeting: str) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{greeting}\r\n".encode() if greeting else b"")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    start.listeners = [Listener(name="in", bind=f"0.0.0.0:{port}")]
    async with start.api(parent=True) as api:
        await all_well(api, broker)
        if greeting.startswith("220"):
            await until(lambda: ready(api))
        else:
            await until(lambda: _says(api, f"listener in: {greeting or 'closes'}"))
    server.close()


async def test_listeners_with_tls_from_the_first_byte(start: Start, broker: Broker, tmp_path: Path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mta.test ESMTP\r\n")
        await reader.readline()
        writer.close()

    keys = write_certificate(tmp_path, "mta.test")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(keys["tls_cert"], keys["tls_key"])
    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=tls)
    bind = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    start.listeners = [Listener(name="in", bind=bind, tls="implicit", **keys)]
    async with start.api(parent=True) as api:
        await all_well(api, broker)
        await until(lambda: ready(api))
    server.close()


async def test_listeners_that_want_a_proxys_header(start: Start, broker: Broker) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline() == b"PROXY UNKNOWN\r\n":
            writer.write(b"220 mta.test ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    bind = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    start.listeners = [Listener(name="in", bind=bind, proxy=["127.0.0.0/8"])]
    async with start.api(parent=True) as api:
        await all_well(api, broker)
        await until(lambda: ready(api))
    server.close()


async def test_a_parent_that_stops(start: Start, broker: Broker) -> None:
    async with start.api(parent=True) as api:
        assert not await _says(api, "stopping")
        replace(api.role.servers, stopping=True).write(api.role.config.data_dir)
        assert await _says(api, "stopping")


async def test_signals_stay_the_roles(start: Start, broker: Broker) -> None:
    """uvicorn would take SIGTERM for itself; the role decides when to end."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    async with start.api() as api:
        assert (await api.get("/healthz")).status == 200
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
