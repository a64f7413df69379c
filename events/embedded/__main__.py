"""``python -m events.embedded --bind 127.0.0.1:PORT --path DIR``; users and passwords come by environment."""

import argparse
import fcntl
import os
import signal
import sys
import threading
from pathlib import Path

from common.errors import CannotCreateError, PostjetError, UnavailableError
from common.section import split_host_port
from events.embedded.definitions import Definitions
from events.embedded.engine import Engine, has_room
from events.embedded.http import Logins
from events.embedded.server import Server


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit code (sysexits)."""
    parser = argparse.ArgumentParser(prog="events.embedded", description=__doc__)
    parser.add_argument("--bind", required=True, help="host:port")
    parser.add_argument("--path", required=True, type=Path, help="folder of the database")
    parser.add_argument("--finish", type=int, default=10, help="seconds that running queries have at the end")
    options = parser.parse_args()
    owner = os.environ.pop("POSTJET_CLICKHOUSE_USER", "default"), os.environ.pop("POSTJET_CLICKHOUSE_PASSWORD", "")
    logins = Logins(owner, ("reader", os.environ.pop("POSTJET_CLICKHOUSE_READER_PASSWORD", "")))
    try:
        serve(split_host_port(options.bind), options.path.resolve(), logins, options.finish)
    except PostjetError as error:
        print(f"events.embedded: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def serve(address: tuple[str, int], path: Path, logins: Logins, finish: int) -> None:
    """Serve until SIGTERM or SIGINT, then let queries end, ``finish`` seconds at most. Raises PostjetError."""
    lock = take(path)
    # Blocked before the engine starts its threads, which inherit it: the signal waits for sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    definitions = Definitions(path, _begin_anew)
    for line in definitions.mend():
        print(f"events.embedded: {line}", file=sys.stderr)
    engine = Engine(path)
    try:
        server = Server(address, engine, definitions, logins)
    except OSError as error:
        engine.close()
        raise UnavailableError(f"cannot listen on {address[0]}:{address[1]}: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    # SIGALRM ends the process: on a disk that fails a query may hang, and who would kill it may be gone, while it holds
    # the folder that is wanted again
    signal.alarm(finish)
    server.finish()
    engine.close()
    os.close(lock)


def _begin_anew() -> None:
    """End; whoever started this process starts it again."""
    print("events.embedded: a definition was cut off, the disk is full; beginning anew", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)


def take(path: Path) -> int:
    """Make the folder and lock it; the descriptor that holds the lock. Raises PostjetError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "server.xml").touch()
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise CannotCreateError(f"cannot write {path}: {error.strerror}") from error
    if not has_room(path):
        os.close(lock)
        raise CannotCreateError(f"cannot write {path}: the disk is full; make room on it")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UnavailableError(f"{path} is in use by another process; stop that one first") from None
    return lock


if __name__ == "__main__":
    sys.exit(main())
