"""Requests as ClickHouse understands them."""

import base64
import gzip
import io
from email.message import Message

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from events.embedded import http
from events.embedded.engine import EngineError


def headers(**values: str) -> Message:
    message = Message()
    for name, value in values.items():
        message[name.replace("_", "-")] = value
    return message


def chunked(pieces: list[bytes]) -> bytes:
    return b"".join(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\nA: b\r\n\r\n"


@given(st.lists(st.binary(max_size=50)), st.binary(max_size=20))
def test_chunked_body_ends_where_it_ends(pieces: list[bytes], next_request: bytes) -> None:
    source = io.BytesIO(chunked(pieces) + next_request)
    body = http.Body(source, headers(Transfer_Encoding="chunked"))
    assert http.decode(body, "").read() == b"".join(pieces)
    assert body.readall() == b""
    assert source.read() == next_request


def test_body_with_a_length() -> None:
    source = io.BytesIO(b"12345rest")
    assert http.Body(source, headers(Content_Length="5")).readall() == b"12345"
    assert source.read() == b"rest"


def test_client_that_goes_away() -> None:
    with pytest.raises(ConnectionAbortedError):
        http.Body(io.BytesIO(b"123"), headers(Content_Length="5")).readall()


def compressed(encoding: str, data: bytes) -> bytes:
    if encoding == "gzip":
        return gzip.compress(data)
    return lz4.frame.compress(data) if encoding == "lz4" else zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd"])
def test_compressed_body_of_several_frames(encoding: str) -> None:
    data = compressed(encoding, b"first ") + compressed(encoding, b"second")
    body = http.Body(io.BytesIO(data), headers(Content_Length=str(len(data))))
    assert http.decode(body, encoding).read() == b"first second"


def test_unknown_encoding() -> None:
    with pytest.raises(EngineError, match=r"Code: 48\. DB::Exception: Content-Encoding br"):
        http.decode(http.Body(io.BytesIO(), headers()), "br")


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("gzip", "gzip"), ("lz4, zstd;q=0.5", "zstd"), ("br, lz4", "lz4"), ("", "")]
)
def test_answer_is_compressed_as_asked(accepted: str, encoding: str) -> None:
    name, data = http.encode(b"answer", accepted)
    body = http.Body(io.BytesIO(data), headers(Content_Length=str(len(data))))
    assert name == encoding
    assert http.decode(body, name).read() == b"answer"


def test_credentials() -> None:
    basic = "Basic " + base64.b64encode(b"me:a:b").decode()
    assert http.credentials(headers(X_ClickHouse_User="me", X_ClickHouse_Key="a:b"), {}) == ("me", "a:b")
    assert http.credentials(headers(Authorization=basic), {}) == ("me", "a:b")
    assert http.credentials(headers(), {"user": "me", "password": "a:b"}) == ("me", "a:b")
    assert http.credentials(headers(), {}) == ("default", "")


@pytest.mark.parametrize(
    "given_", [("me", "wrong"), ("you", "right"), ("", ""), ("reader", ""), ("reader", "right"), ("me", "readers")]
)
def test_wrong_login(given_: tuple[str, str]) -> None:
    assert http.authenticate(("me", "right"), http.Logins(("me", "right")))
    assert not http.authenticate(("reader", "readers"), http.Logins(("me", "right"), ("reader", "readers")))
    for logins in (http.Logins(("me", "right")), http.Logins(("me", "right"), ("reader", "readers"))):
        with pytest.raises(EngineError) as refused:
            http.authenticate(given_, logins)
    assert (refused.value.code, http.status(refused.value.code)) == (516, 403)


def test_statuses() -> None:
    assert [http.status(code) for code in (62, 60, 81, 159, 48, 202, 241, 9999)] == [
        400, 404, 404, 408, 501, 503, 500, 500,
    ]  # fmt: skip


def test_form() -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT {a:String}\r\n'
        b'--x\r\nContent-Disposition: form-data; name="param_a"\r\n\r\n\xc3\xa9\\n\r\n--x--\r\n'
    )
    assert http.form("multipart/form-data; boundary=x", body) == {"query": "SELECT {a:String}", "param_a": "é\\n"}
