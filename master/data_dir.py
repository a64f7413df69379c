"""The data folder: made, checked, locked."""

import contextlib
import fcntl
import os
import shutil
import time
from pathlib import Path

import structlog

from common import instance
from common.errors import CannotCreateError, UnavailableError
from common.queue.room import INTAKE_PART
from common.units import format_size

log = structlog.get_logger()

#: Bytes that must be free to start.
ROOM_TO_START = 4 * 10**6
#: How long the servers of an instance that was killed may take to end.
FORMER_SERVERS = 30.0


def prepare(data_dir: str) -> Path:
    """Make the folder and those in it. Raises CannotCreateError."""
    path = Path(data_dir)
    try:
        for folder in (path, path / "run", path / "nats", path / "clickhouse", path / "dkim", path / "log"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        problem = obstacle(path / "run", ROOM_TO_START)
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise CannotCreateError(f"data_dir {path}: cannot be written: {problem}; see to that or set data_dir")
    return path


def obstacle(folder: Path, room: int) -> str:
    """Why so many bytes cannot be written in the folder; nothing when they can."""
    probe = folder / f".writable.{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(bytes(4096))
            os.fsync(file.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return error.strerror or str(error)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return "" if free >= room else f"only {format_size(free)} free of {format_size(room)} that it takes"


def lock(path: Path) -> int:
    """Lock the folder; a file descriptor that holds the lock, inherited by the servers.

    Waits for the servers of an instance whose parent was killed. Raises UnavailableError when it is in use.
    """
    fd = os.open(path / "run" / "lock", os.O_RDONLY | os.O_CREAT, 0o600)
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
    """Bytes the broker may use: ``wanted``, but no more than it has already and 80 % of what is free.

    It is never so little that what the broker has already could not be finished.
    """
    own = sum(file.stat().st_blocks * 512 for file in (path / "nats").rglob("*") if file.is_file())
    return max(min(wanted, own + int(0.8 * shutil.disk_usage(path).free)), int(own / INTAKE_PART))
