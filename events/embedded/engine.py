"""The embedded engine: chdb opened once, a connection of its own for every query.

Connections to one engine are independent sessions, cost 0.1 ms and may run at the same time in several
threads, so settings, database and ``readonly`` of one query never reach another and reads go on while
inserts run. ``DROP … SYNC`` never returns in this engine; nothing here uses it.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

TIMEZONE = "UTC"
#: What a query gets unless it says otherwise. An insert that came back is in the table: none is asynchronous.
DEFAULTS = {
    "max_threads": "2",
    "max_memory_usage": "1000000000",
    "max_execution_time": "60",
    "async_insert": "0",
    "implicit_select": "0",  # as the server has it; the engine's own default takes ``SELEC`` for a column
}
_SERVER_CONFIG = """<clickhouse>
<max_server_memory_usage>2000000000</max_server_memory_usage>
<mark_cache_size>268435456</mark_cache_size>
</clickhouse>"""
#: Bytes that must be free for definitions, and for rows, while which others may fill the disk.
ROOM, ROWS_ROOM = 2**20, 8 * 2**20
_NAME = re.compile(r"[A-Za-z_]\w*")
_CODE = re.compile(r"Code: (\d+)\. ")
_REPEATED_CODE = re.compile(r"^(Code: \d+\. DB::Exception: )\1+")


class EngineError(Exception):
    """ClickHouse's own error: its code and its text, ``Code: 62. DB::Exception: …``."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    @classmethod
    def make(cls, code: int, name: str, text: str) -> "EngineError":
        """An error in ClickHouse's form that does not come from the engine."""
        return cls(code, f"Code: {code}. DB::Exception: {text}. ({name})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A query as the engine takes it. ``data`` is a file with the rows of an INSERT."""

    text: bytes
    format: str = "TabSeparated"
    """Of the answer, when the query does not say."""
    database: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    readonly: str = "0"
    data: IO[bytes] | None = None
    data_settings: bytes = b""
    """The SETTINGS clause of an INSERT, which stands behind its file."""
    data_format: str = ""

    def sql(self) -> bytes:
        """The text for the engine."""
        if self.data is None:
            return self.text
        self.data.flush()
        infile = f" FROM INFILE '/proc/self/fd/{self.data.fileno()}' ".encode()
        return self.text + infile + self.data_settings + b" FORMAT " + self.data_format.encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes of a result and what it took."""

    data: bytes
    rows: int
    bytes: int
    seconds: float


def has_room(path: Path, room: int = ROOM) -> bool:
    """Whether the disk has room for the engine's own files.

    It takes no notice of writes that fail. On a full disk it leaves definitions empty, says that all is well, and does
    not start again (``definitions``); and inserts are answered of which nothing is there when it does.
    """
    return shutil.disk_usage(path).free >= room


class Engine:
    """chdb on one folder. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Open the folder; it must exist and belong to this process alone."""
        os.environ["TZ"] = TIMEZONE
        time.tzset()
        import chdb  # takes half a second, and reads TZ

        config = path / "server.xml"
        config.write_text(_SERVER_CONFIG)
        self._connect = chdb.connect
        self.path = path
        #: Keeps the engine open while no query runs.
        self._root = self._connect(f"{path}?config-file={quote(str(config))}")
        self.version = chdb.engine_version

    def file(self) -> IO[bytes]:
        """A nameless file for the rows of an INSERT."""
        return tempfile.TemporaryFile(dir=self.path)

    def run(self, statement: Statement) -> Answer:
        """Run one statement. Raises EngineError."""
        connection = self._connect(str(self.path))
        try:
            if statement.database:
                connection.query(f"USE {_identifier(statement.database)}")
            connection.query("SET " + _assignments(DEFAULTS | dict(statement.settings)))
            if statement.readonly != "0":  # last: it forbids further settings
                connection.query("SET " + _assignments({"readonly": statement.readonly}))
            text: Any = statement.sql()  # bytes are taken too
            result = connection.query(text, statement.format, params=dict(statement.parameters))
            return Answer(result.bytes() or b"", result.rows_read(), result.bytes_read(), result.elapsed())
        except RuntimeError as error:
            raise self._error(str(error)) from error
        finally:
            connection.close()

    def _error(self, text: str) -> EngineError:
        text = text[max(text.find("Code: "), 0) :].strip()
        code = _CODE.match(text)
        text = _REPEATED_CODE.sub(r"\1", text)
        if "(version " not in text:
            text += f" (version {self.version})"
        return EngineError(int(code[1]) if code else 1002, text)

    def close(self) -> None:
        """Close the engine; nothing may run any more."""
        self._root.close()


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _assignments(settings: Mapping[str, Any]) -> str:
    parts = []
    for name, value in settings.items():
        if not _NAME.fullmatch(name):
            raise EngineError.make(115, "UNKNOWN_SETTING", f"Unknown setting {name!r}")
        quoted = str(value).replace("\\", "\\\\").replace("'", "\\'")
        parts.append(f"{name} = '{quoted}'")
    return ", ".join(parts)
