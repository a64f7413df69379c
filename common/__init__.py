"""What every role shares: configuration, formats, the queue, errors, logging. Imports no role."""

import importlib
import sys
from typing import Any


def _import_without(name: str, optional: str) -> None:
    """Import ``name`` as if ``optional`` was not installed, unless somebody has it already."""
    modules: dict[str, Any] = sys.modules
    if optional in modules:
        return
    modules[optional] = None
    try:
        importlib.import_module(name)
    finally:
        del modules[optional]


# nats-py takes aiohttp for WebSocket where it finds it, structlog rich for colours: nothing we use, but 0.13 of the
# 0.5 s that a process takes to start, and 12 of its 70 MB.
_import_without("nats.aio.client", "aiohttp")
_import_without("structlog", "rich")
