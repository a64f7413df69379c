"""The streams and buckets, created or brought up to date; safe to call from every process."""

import asyncio
from typing import Any

import structlog

from common.broker import Broker, BrokerError, NoBrokerError, UnknownOutcomeError
from common.subjects import BODY_STREAM, EVENTS_STREAM, HOOKS_STREAM, queue_stream

log = structlog.get_logger()

#: How long a repeat of a message is recognised; longer than any repeat (Broker.store).
DUPLICATE_WINDOW = 120
#: A lease that is not renewed for so many seconds has lapsed.
LEASE = 10
#: A strike counts for so many seconds (``strikes``).
STRIKE = 3600
#: How far an order's work is or was is known for so many seconds; one that lasts longer is gone through again.
MOVES = 90 * 86_400

_SECOND = 1_000_000_000
_NAME_IN_USE = 10058


def _definitions(pools: list[str], max_store: int, replicas: int) -> list[dict[str, Any]]:
    common = {
        "storage": "file",
        "num_replicas": replicas,
        "allow_direct": True,
        "duplicate_window": DUPLICATE_WINDOW * _SECOND,
    }
    entries = {
        "retention": "workqueue",
        "allow_msg_schedules": True,
        "allow_rollup_hdrs": True,
        "allow_atomic": True,
    }
    content = {"retention": "limits", "discard": "new"}
    bucket = {"retention": "limits", "discard": "new", "max_msgs_per_subject": 1, "allow_rollup_hdrs": True}
    return [
        *(
            {**common, **entries, "name": queue_stream(pool), "subjects": [f"{kind}.{pool}.>" for kind in "qsh"]}
            for pool in pools
        ),
        {**common, **entries, "name": HOOKS_STREAM, "subjects": ["w.>"]},
        {**common, **content, "name": BODY_STREAM, "subjects": ["b.>"]},
        {**common, **content, "name": EVENTS_STREAM, "subjects": ["e.>"], "max_bytes": max_store // 5},
        {**common, **bucket, "name": "KV_pools", "subjects": ["$KV.pools.>"]},
        {**common, **bucket, "name": "KV_intents", "subjects": ["$KV.intents.>"]},
        {**common, **bucket, "name": "KV_policies", "subjects": ["$KV.policies.>"]},
        {**common, **bucket, "name": "KV_holds", "subjects": ["$KV.holds.>"], "allow_msg_ttl": True},
        {**common, **bucket, "name": "KV_users", "subjects": ["$KV.users.>"]},
        {**common, **bucket, "name": "KV_usage", "subjects": ["$KV.usage.>"]},
        {**common, **bucket, "name": "KV_suppression", "subjects": ["$KV.suppression.>"], "allow_msg_ttl": True},
        {**common, **bucket, "name": "KV_controls", "subjects": ["$KV.controls.>"]},
        {**common, **bucket, "name": "KV_webhooks", "subjects": ["$KV.webhooks.>"]},
        {**common, **bucket, "name": "KV_moves", "subjects": ["$KV.moves.>"], "max_age": MOVES * _SECOND},
        {**common, **bucket, **_in_memory(LEASE), "name": "KV_leases", "subjects": ["$KV.leases.>"]},
        {**common, **bucket, **_in_memory(STRIKE), "name": "KV_strikes", "subjects": ["$KV.strikes.>"]},
    ]


def _in_memory(max_age: int) -> dict[str, Any]:
    return {
        "storage": "memory",
        "max_age": max_age * _SECOND,
        "duplicate_window": min(max_age, DUPLICATE_WINDOW) * _SECOND,
    }


async def ensure(broker: Broker, pools: list[str], max_store: int) -> None:
    """Create what is missing, update what differs. Raises what ``Broker.api`` raises."""
    replicas = 3 if broker.clustered else 1
    for definition in _definitions(pools, max_store, replicas):
        name = definition["name"]
        try:
            await broker.api(f"STREAM.CREATE.{name}", definition)
        except BrokerError as error:
            if error.code != _NAME_IN_USE:
                raise
            await broker.api(f"STREAM.UPDATE.{name}", definition)


async def ensure_surely(broker: Broker, pools: list[str], max_store: int) -> None:
    """``ensure`` once JetStream answers; after a restart of the broker the streams in memory are gone."""
    said = ""
    while True:
        try:
            return await ensure(broker, pools, max_store)
        except BrokerError as error:
            if said != str(error):
                log.warning("broker: streams cannot be made: %s; trying again", error)
            said = str(error)
        except (NoBrokerError, UnknownOutcomeError):
            log.debug("broker: JetStream is not up yet")
        await asyncio.sleep(0.2)


async def created(broker: Broker, stream: str) -> str:
    """When a stream was created: tells one store from a later one that reuses sequence numbers."""
    return str((await broker.api(f"STREAM.INFO.{stream}"))["created"])
