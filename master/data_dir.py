"""The data folder: made, checked, locked."""

import fcntl
import os
import shutil
import time
from pathlib import Path

import structlog

from common import instance
from common.errors import CannotCreateError, UnavailableError

log = structlog.get_logger()

#: How long the servers of an instance that was killed may take to end.
FORMER_SERVERS = 30.0


def prepare(data_dir: str) -> Path:
    """Make the folder and those in it. Raises CannotCreateError."""
    path = Path(data_dir)
    try:
        for folder in (path, path / "run", path / "nats", path / "clickhouse", path / "dkim", path / "log"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = path / "run" / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotCreateError(
            f"data_dir {path}: cannot be written: {error.strerror}; make it writable or set data_dir"
        ) from None
    return path


def lock(path: Path) -> int:
    """Lock the folder; a file descriptor that holds the lock, inherited by the servers.

    Waits for the servers of an instance whose parent was killed. Raises UnavailableError when it is in use.
    """
    fd = os.open(path / "run" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + FORMER_SERVERS
    waiting = False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            former = instance.read(str(path))
            if former is None or instance.is_alive(former.pid) or time.monotonic() > deadline:
                os.close(fd)
                pid = f" (pid {former.pid})" if former else ""
                raise UnavailableError(f"{path}: in use by another 'postjet up'{pid}") from None
            if not waiting:
                log.info("waiting for the servers of the former instance to end")
                waiting = True
            time.sleep(0.1)


def store_limit(path: Path, wanted: int) -> int:
    """Bytes the broker may use: ``wanted``, lowered to 80 % of what is free or its own already."""
    own = sum(file.stat().st_blocks * 512 for file in (path / "nats").rglob("*") if file.is_file())
    limit = int(0.8 * (shutil.disk_usage(path).free + own))
    return min(wanted, limit)
