"""``postjet explain``."""

import asyncio
from pathlib import Path

from common import instance, log
from common.addresses import normal_domain
from common.broker import BrokerFailure
from common.config import Config
from common.errors import UnavailableError, UsageError
from common.role import connected
from master import explain
from master.explain import Known
from master.explain_json import as_json as to_json
from master.explain_text import show
from master.reasons import reasons
from master.tables import print_json


def run(config: Config, file: Path | None, text: str, pool: str, as_json: bool) -> None:
    """Print what is known of a domain, or of an address' one. Raises UsageError."""
    if pool not in config.pools:
        raise UsageError(f"{pool!r} is no pool of the configuration; there are {', '.join(config.pools)}")
    try:
        domain = normal_domain(text.rpartition("@")[2])
    except ValueError as error:
        raise UsageError(f"{text!r} is no domain: {error}") from None
    log.setup(config.log.model_copy(update={"level": "warning"}), config.hostname, "explain")
    known = asyncio.run(_find(config, file, domain, pool))
    if as_json:
        print_json(to_json(known, reasons(known)))
    else:
        show(known, reasons(known))


async def _find(config: Config, file: Path | None, domain: str, pool: str) -> Known:
    try:
        async with connected(instance.find(config), config.queues, "postjet-explain") as broker:
            return await explain.find(config, file, domain, pool, broker)
    except (UnavailableError, BrokerFailure) as error:
        missing = str(error)
    known = await explain.find(config, file, domain, pool, None)
    known.missing = missing
    return known
