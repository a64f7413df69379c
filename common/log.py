"""Log lines on standard error: text with Postfix's look, or one JSON object per line."""

import logging
import os
import sys
import time
from collections.abc import MutableMapping
from typing import Any

import structlog

from common.config import Log


def setup(config: Log, hostname: str, role: str) -> None:
    """Configure structlog for this process. ``role`` stands where Postfix names its daemon."""
    render = structlog.processors.JSONRenderer() if config.format == "json" else _Text(hostname, role)
    structlog.configure(
        processors=[
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True) if config.format == "json" else _nothing,
            _named(role) if config.format == "json" else _nothing,
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[config.level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # what libraries say goes the same way, from warnings up
    logging.basicConfig(level=logging.WARNING, format=f"{role}: %(name)s: %(message)s", stream=sys.stderr)
    for name in ("mail.log", "urllib3"):  # aiosmtpd's and clickhouse-connect's; ours says the same better
        logging.getLogger(name).setLevel(logging.ERROR)


def _nothing(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return event


def _named(role: str) -> structlog.types.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.update(role=role, pid=os.getpid())
        return event

    return add


class _Text:
    """``Nov 21 20:15:00 mta1 postjet/outbound[123]: text key=value``, as syslog shows Postfix's lines."""

    def __init__(self, hostname: str, role: str) -> None:
        self._source = f"{hostname.partition('.')[0]} postjet/{role}[{os.getpid()}]:"

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        level, text, trace = event.pop("level"), event.pop("event"), event.pop("exception", "")
        prefix = f"{level}: " if level in ("warning", "error", "critical") else ""
        pairs = "".join(f" {key}={value}" for key, value in event.items())
        now = time.strftime("%b %e %H:%M:%S")
        return f"{now} {self._source} {prefix}{text}{pairs}" + (f"\n{trace}" if trace else "")
