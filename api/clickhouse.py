"""Whether ClickHouse answers."""

import asyncio
import urllib.error
import urllib.request
from urllib.parse import urlsplit

PATIENCE = 2.0


async def answers(url: str) -> bool:
    """Ask ``/ping``; ``url`` as in ``clickhouse.url``. Without one there is nobody to ask: yes."""
    return not url or await asyncio.to_thread(_ping, url)


def _ping(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with urllib.request.urlopen(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/ping", timeout=PATIENCE):
            return True
    except (OSError, ValueError):
        return False
