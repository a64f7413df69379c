"""How roles and commands find the servers: ``data_dir/run/instance.json``, or the URLs of the configuration."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from common.config import Config
from common.errors import CannotCreateError, UnavailableError


@dataclass(frozen=True, slots=True)
class Instance:
    """What one ``postjet up`` runs. Ports and passwords are chosen once and reused when a child restarts."""

    pid: int
    nats_url: str
    nats_user: str = ""
    nats_password: str = field(default="", repr=False)
    nats_credentials: str = ""
    clickhouse_url: str = field(default="", repr=False)
    max_store: int = 0
    """Bytes of the broker's store, after lowering it to the free disk."""
    api: str = ""
    """host:port where ``api`` answers."""
    stopping: bool = False
    """It was told to stop."""
    workers: tuple[str, ...] = ()
    """Every worker that was started with the broker: before them none lived (``common.limits.owners``)."""
    started: float = 0.0
    """When, on the monotonic clock."""

    def write(self, data_dir: str) -> None:
        """Write it for this user's eyes only. Raises CannotCreateError."""
        path = instance_path(data_dir)
        fresh = path.with_suffix(".new")
        try:
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(asdict(self), file, indent=1)
            fresh.rename(path)
        except OSError as error:
            raise CannotCreateError(f"{path}: cannot be written: {error.strerror}") from None


def instance_path(data_dir: str) -> Path:
    """Where an instance is written down."""
    return Path(data_dir) / "run" / "instance.json"


def read(data_dir: str) -> Instance | None:
    """The instance written down in a data folder, running or not; None where there is none."""
    try:
        values = json.loads(instance_path(data_dir).read_text())
        return Instance(**values | {"workers": tuple(values.get("workers", ()))})
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def find(config: Config) -> Instance:
    """The servers to use: those the configuration names, and the running instance's for the rest.

    Raises UnavailableError when neither names a broker; ``clickhouse_url`` may stay empty.
    """
    try:
        running = read(config.data_dir)
    except PermissionError:
        path = instance_path(config.data_dir)
        raise UnavailableError(f"{path}: not readable; run this as the user of 'postjet up'") from None
    if running and not is_alive(running.pid):
        running = None
    if not config.nats.url:
        if running is None:
            raise UnavailableError(f"nothing runs on {config.data_dir}; start 'postjet up' first, or give --config")
        return running
    return Instance(
        pid=running.pid if running else 0,
        nats_url=config.nats.url,
        nats_credentials=config.nats.credentials,
        clickhouse_url=config.clickhouse.url or (running.clickhouse_url if running else ""),
        max_store=config.nats.max_store,
    )
