"""The files in which the engine keeps its definitions, and what becomes of them on a full disk.

The engine takes no notice of a write that fails: of a definition for which there was no room a part is left or nothing,
the statement has worked, and the engine does not start again. So the files are linked before a statement that writes
some (a link takes no room, and the engine replaces files). If room was short behind it they are put back, what is new
is moved aside, the statement is answered with an error, and the process has to start anew, for the engine in memory
goes by what it could not write. Whoever was killed in between finds the links when it starts.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from events.embedded.engine import EngineError, has_room

#: Of databases, tables and views, and of changes of rows.
_FILES = ("metadata/*.sql", "store/*/*/*.sql", "store/*/*/mutation_*.txt")
_UUID = re.compile(rb"UUID '([0-9a-f-]{36})'")


class Definitions:
    """Those in the engine's folder. Thread-safe."""

    def __init__(self, path: Path, spoiled: Callable[[], None]) -> None:
        """``spoiled`` ends the process. Raises OSError."""
        self._path, self._spoiled, self._lock = path, spoiled, Lock()
        self._kept, self._aside = path / "definitions", path / "definitions_set_aside"
        self._kept.mkdir(exist_ok=True)
        self._aside.mkdir(exist_ok=True)

    def mend(self) -> list[str]:
        """Before the engine starts: what is cut off is put back or moved aside; a line of each. Raises OSError."""
        return self._put_back(file for file in self._files() if _is_cut(file))

    @contextmanager
    def written(self) -> Iterator[None]:
        """While a statement writes some. Raises EngineError: there is no room for them, and nothing has changed."""
        with self._lock:
            if not has_room(self._path):
                raise _no_room()
            self._keep()
            try:
                yield
            finally:
                changed = [file for file in self._files() if not self._is_kept(file)]
                if changed and (any(map(_is_cut, changed)) or not has_room(self._path)):
                    self._put_back(changed)
                    self._spoiled()
                    raise _no_room()

    def _keep(self) -> None:
        try:
            for link in self._kept.iterdir():
                link.unlink()
            for file in self._files():
                with suppress(FileNotFoundError):  # of changes that are done the engine removes them
                    os.link(file, self._link(file))
        except OSError as error:
            raise _no_room() from error

    def _files(self) -> Iterator[Path]:
        return (file for pattern in _FILES for file in self._path.glob(pattern))

    def _link(self, file: Path) -> Path:
        return self._kept / str(file.relative_to(self._path)).replace("/", ",")

    def _is_kept(self, file: Path) -> bool:
        with suppress(FileNotFoundError):
            return file.samefile(self._link(file))
        return False

    def _put_back(self, files: Iterable[Path]) -> list[str]:
        lines = []
        for file in files:
            name, link = file.relative_to(self._path), self._link(file)
            if link.exists() and not self._is_dropped(link):
                link.replace(file)
                lines.append(f"{name} was cut off, the disk was full; it is as it was before")
            else:
                aside = file.replace(self._aside / link.name)
                lines.append(f"{name} was cut off, the disk was full; moved to {aside}, to be made anew")
        return lines

    def _is_dropped(self, link: Path) -> bool:
        """Whether the engine has dropped what it defines, for something else of that name."""
        if not (found := _UUID.search(link.read_bytes())):
            return False
        return any(self._path.glob(f"metadata_dropped/*.{found[1].decode()}.sql"))


def _is_cut(file: Path) -> bool:
    """All of them end with a line's end."""
    with suppress(FileNotFoundError):
        return not file.read_bytes().endswith(b"\n")
    return False


def _no_room() -> EngineError:
    return EngineError.make(243, "NOT_ENOUGH_SPACE", "A definition needs 1 MiB on the disk, not enough space")
