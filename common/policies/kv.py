"""Rules in KV: ``$KV.policies.<name>`` holds the values of one ``[[policies]]`` as JSON."""

import json
from typing import Any

import structlog

from common import config_file
from common.broker import Broker, Message
from common.errors import ConfigError
from common.policies.outcome import unknown_provider
from common.policies.reading import Layer, Rules, Written
from common.policies.rules import PolicyRule
from common.queue.listing import walk

log = structlog.get_logger()

STREAM = "KV_policies"
_PREFIX = "$KV.policies."
#: What NATS' own tools know as a key that was deleted.
_DELETED = {"KV-Operation": "DEL"}

Entries = dict[str, bytes]
"""Name to what lies there."""


def read(name: str, values: Any, known: Rules) -> Written[PolicyRule]:
    """The rule of an entry. Raises ConfigError."""
    origin = f"KV {name}"
    rule = config_file.validated(PolicyRule, values, "", origin)
    if said := unknown_provider(rule.provider, known):
        raise ConfigError(f"{origin}: provider: {said}")
    return Written(rule, Layer.KV, origin)


def rules(entries: Entries, known: Rules) -> Rules:
    """The rules of all entries; one that is wrong, or has become so, is left out with a line in the log."""
    found = []
    for name, body in sorted(entries.items()):
        try:
            found.append(read(name, json.loads(body), known))
        except (ConfigError, ValueError, RecursionError) as error:
            log.error("policies: left out: KV %s: %s", name, str(error).removeprefix(f"KV {name}: "))
    return Rules(policies=tuple(found))


async def entries(broker: Broker) -> Entries:
    """All entries. Raises BrokerFailure."""
    return {
        stored.subject.removeprefix(_PREFIX): stored.body
        async for stored in walk(broker, STREAM, f"{_PREFIX}>")
        if "KV-Operation" not in stored.headers
    }


async def put(broker: Broker, name: str, values: dict[str, Any]) -> None:
    """Write an entry, over one of the same name. Raises BrokerFailure."""
    await broker.put(Message(_PREFIX + name, json.dumps(values).encode()))


async def remove(broker: Broker, name: str) -> bool:
    """Remove an entry; whether there was one. Raises BrokerFailure."""
    stored = await broker.last(STREAM, _PREFIX + name)
    if stored is None or "KV-Operation" in stored.headers:
        return False
    await broker.put(Message(_PREFIX + name, b"", _DELETED))
    return True
