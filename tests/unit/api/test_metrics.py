"""/metrics: figures of the moment, in the form that is asked for, without anybody's help if need be."""

from api_support import Running, Start
from prometheus_client.parser import text_string_to_metric_families
from queue_support import submit
from support import make_entry, until

from common import metrics
from common.broker import Broker, Message
from common.queue import leases, streams


async def told(api: Running) -> dict[tuple[str, ...], float]:
    """Name and label values to value."""
    answer = await api.get("/metrics")
    assert answer.status == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_figures(start: Start, broker: Broker) -> None:
    await submit(broker, make_entry())
    await leases.renew(broker, "worker.default.w0", "somebody")
    async with start.api() as api:
        await until(lambda: api.role.broker.client.is_connected)
        found = await told(api)
        figures = {metric.name for metric in metrics.ALL if metric.name in {name for name, *_ in found}}
        assert {name for name, *_ in found} == figures
        assert found["postjet_up", "broker"] == 1
        assert found["postjet_queue_entries", "default", "ready"] == 1
        assert found["postjet_queue_oldest_age_seconds", "default", "ready"] > 0
        assert found["postjet_queue_oldest_age_seconds", "default", "held"] == 0
        assert found["postjet_workers", "default"] == 1
        assert found["postjet_recorders",] == 0
        assert found["postjet_queue_room",] == 1
        assert 0 < found["postjet_queue_store_bytes",] < found["postjet_queue_store_limit_bytes",] == 10**9
        assert 0 < found["postjet_events_waiting_bytes",] < found["postjet_events_limit_bytes",]
        assert found["postjet_events_lag_seconds",] > 0


async def test_a_pool_that_only_the_broker_knows(start: Start, broker: Broker) -> None:
    await streams.ensure(broker, ["default", "bulk", "empty"], 10**9)
    await broker.put(Message("q.bulk.1.1.b.-.01k80104jjg883qldg58.1", b"x"))
    async with start.api() as api:
        await until(lambda: api.role.broker.client.is_connected)
        found = await told(api)
        assert found["postjet_queue_entries", "bulk", "ready"] == 1
        assert found["postjet_workers", "bulk"] == 0
        assert ("postjet_workers", "empty") not in found  # else an alert would fire for ever


async def test_without_broker_and_clickhouse(start: Start, broker: Broker) -> None:
    start.clickhouse_url = "http://127.0.0.1:1/postjet"
    start.nats.kill()
    async with start.api() as api:
        assert await told(api) == {("postjet_up", "broker"): 0, ("postjet_up", "clickhouse"): 0}


async def test_openmetrics(start: Start, broker: Broker) -> None:
    async with start.api() as api:
        plain = await api.get("/metrics")
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
        asked = await api.get("/metrics", Accept="application/openmetrics-text; version=1.0.0,text/plain;q=0.5")
        assert asked.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert asked.text.endswith("# EOF\n")
