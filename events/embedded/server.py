"""ClickHouse's HTTP interface in front of the engine: a thread per connection (RFC 9112)."""

import json
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler
from itertools import chain
from socketserver import ThreadingTCPServer
from threading import Condition
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

from events.embedded import http, native, sql
from events.embedded import reader as read_only
from events.embedded.definitions import Definitions
from events.embedded.engine import ROWS_ROOM, TIMEZONE, Answer, Engine, EngineError, Statement, has_room


class Server(ThreadingTCPServer):
    """Listens at once; ``serve_forever`` answers until ``finish``."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # connections that idle need not end
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], engine: Engine, definitions: Definitions, logins: http.Logins
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)
        self.engine, self.definitions, self.logins = engine, definitions, logins
        self._working, self._finishing, self._changed = 0, False, Condition()

    @contextmanager
    def working(self) -> Iterator[None]:
        """While a query is answered. Raises ConnectionAbortedError when no more are taken."""
        with self._changed:
            if self._finishing:
                raise ConnectionAbortedError("the server is shutting down")
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def finish(self) -> None:
        """Take no more queries and wait until those under way are answered."""
        self.shutdown()
        self.server_close()
        with self._changed:
            self._finishing = True
            self._changed.wait_for(lambda: not self._working)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are no news."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "postjet"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 600

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the parent's log is for people."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path in ("/ping", "/replicas_status") or (path == "/" and "query" not in http.parameters(self.path)):
            self._reply(200, b"Ok.\n", {"Content-Type": "text/plain; charset=UTF-8"})
        else:
            self.do_POST()

    def do_POST(self) -> None:
        """Answer a query."""
        with self._server.working():
            self._do_query()

    def _do_query(self) -> None:
        body = http.Body(self.rfile, self.headers)
        params = http.parameters(self.path)
        try:
            status, data, headers = 200, *self._answer(body, params)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            status, data, headers = _refusal(error)
        while body.read(2**16):
            pass  # the next request begins behind it
        if params.get("enable_http_compression") == "1":
            encoding, data = http.encode(data, self.headers.get("Accept-Encoding", ""))
            headers |= {"Content-Encoding": encoding} if encoding else {}
        query_id = params.get("query_id", "")
        headers["X-ClickHouse-Query-Id"] = query_id if re.fullmatch("[!-~]+", query_id) else str(uuid4())
        self._reply(status, data, headers)

    def _answer(self, body: http.Body, params: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        """The result and what heads it. Raises EngineError."""
        if (path := urlsplit(self.path).path) != "/":
            raise EngineError.make(60, "UNKNOWN_TABLE", f"There is no handle {path}; use /, /ping or /replicas_status")
        is_owner = http.authenticate(http.credentials(self.headers, params), self._server.logins)
        if params.get("compress") == "1" or params.get("decompress") == "1":
            text = "ClickHouse's block compression is not supported here; use enable_http_compression"
            raise EngineError.make(48, "NOT_IMPLEMENTED", text)
        reader = http.decode(body, self.headers.get("Content-Encoding", ""))
        head = reader.read(sql.MAX_QUERY)
        content_type = self.headers.get("Content-Type", "")
        if content_type.startswith("multipart/form-data"):
            params |= http.form(content_type, head + reader.read())
            head = b""
        query = params["query"].encode() if "query" in params else b""
        parsed = sql.parse(query or head)
        if not is_owner:
            return self._read_only(parsed, b"\n".join(filter(None, [query, head + reader.read()])), params)
        if parsed.insert:
            return self._insert(parsed.insert, query or head, chain([head] if query else [], _pieces(reader)), params)
        if parsed.names_file:
            raise EngineError.make(1, "UNSUPPORTED_METHOD", "INFILE and OUTFILE are not allowed over HTTP")
        with self._server.definitions.written() if parsed.defining else nullcontext():
            return self._query(parsed, b"\n".join(filter(None, [query, head + reader.read()])), params)

    def _read_only(
        self, parsed: sql.Parsed, text: bytes, params: dict[str, str]
    ) -> tuple[bytes, dict[str, str]]:
        """For who may only read. 2 in place of 1 would let table functions read files of ours."""
        read_only.check(text)
        given = _settings(params)
        kept = {name: value for name, value in params.items() if name not in given}
        return self._query(parsed, text, kept | read_only.settings(given) | {"readonly": "1"})

    def _insert(
        self, insert: sql.Insert, text: bytes, more: Iterable[bytes], params: Mapping[str, str]
    ) -> tuple[bytes, dict[str, str]]:
        if not has_room(self._server.engine.path, ROWS_ROOM):
            raise EngineError.make(243, "NOT_ENOUGH_SPACE", "An insert needs 8 MiB on the disk, not enough space")
        with self._server.engine.file() as file:
            file.write(text[insert.data :])
            file.writelines(more)
            answer = self._run(
                params,
                text=insert.target,
                data=file,
                data_settings=insert.settings,
                data_format=insert.format or self._default_format(params) or "Values",
            )
        return b"", _summary(answer, written=True)

    def _query(self, parsed: sql.Parsed, text: bytes, params: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
        default = self._default_format(params) or "TabSeparated"
        answer = self._run(params, text=text, format=default)
        format, data, headers = parsed.format or default, answer.data, _summary(answer)
        if format == "Native" and int(params.get("client_protocol_version", 0)) >= native.CUSTOM_SERIALIZATION:
            data = native.with_block_info(data)
        if data or parsed.returning:
            headers |= {"X-ClickHouse-Format": format, "Content-Type": http.content_type(format)}
        return data, headers

    def _run(self, params: Mapping[str, str], **statement: Any) -> Answer:
        parameters = {name[6:]: value for name, value in params.items() if name.startswith("param_")}
        settings = _settings(params)
        readonly = params.get("readonly", "0")
        if readonly == "0" and self.command == "GET":
            readonly = "2"  # a GET changes nothing (RFC 9110 9.2.1), but its settings count
        database = params.get("database", "")
        return self._server.engine.run(
            Statement(**statement, database=database, parameters=parameters, settings=settings, readonly=readonly)
        )

    def _default_format(self, params: Mapping[str, str]) -> str:
        return params.get("default_format") or self.headers.get("X-ClickHouse-Format") or ""

    def _reply(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        common = {
            "X-ClickHouse-Server-Display-Name": "postjet",
            "X-ClickHouse-Timezone": TIMEZONE,
            "Content-Length": str(len(data)),
        }
        for name, value in (common | dict(headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    @property
    def _server(self) -> Server:
        return cast(Server, self.server)


def _settings(params: Mapping[str, str]) -> dict[str, str]:
    names = (name for name in params if name not in http.INTERFACE and not name.startswith("param_"))
    return {name: params[name] for name in names}


def _pieces(reader: Any) -> Iterator[bytes]:
    while piece := reader.read(2**20):
        yield piece


def _refusal(error: Exception) -> tuple[int, bytes, dict[str, str]]:
    if not isinstance(error, EngineError):  # such as a body that is not what Content-Encoding says
        error = EngineError.make(1001, "STD_EXCEPTION", repr(error))
    headers = {"X-ClickHouse-Exception-Code": str(error.code), "Content-Type": "text/plain; charset=UTF-8"}
    return http.status(error.code), f"{error}\n".encode(), headers


def _summary(answer: Answer, *, written: bool = False) -> dict[str, str]:
    verb, other = ("written", "read") if written else ("read", "written")
    counts = {
        f"{verb}_rows": answer.rows, f"{verb}_bytes": answer.bytes, f"{other}_rows": 0, f"{other}_bytes": 0,
        "elapsed_ns": int(answer.seconds * 1e9),
    }  # fmt: skip
    return {"X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in counts.items()})}
