"""Where an INSERT ends and its rows begin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.embedded.sql import Insert, parse


@pytest.mark.parametrize(
    ("text", "target", "settings", "format", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x02\x01", b"INSERT INTO t ", b"", "Native", b"\x02\x01"),
        (b"insert into t (a, `format`) format CSV\n1,2\n", b"insert into t (a, `format`) ", b"", "CSV", b"1,2\n"),
        (b"INSERT INTO t VALUES(1,'format')", b"INSERT INTO t ", b"", "Values", b"(1,'format')"),
        (b"INSERT INTO t", b"INSERT INTO t", b"", "", b""),
        (b"/* FORMAT */ INSERT INTO t -- VALUES\nFORMAT TSV \t\n\n1", b"/* FORMAT */ INSERT INTO t -- VALUES\n",
         b"", "TSV", b"\n1"),
        (b"INSERT INTO t SETTINGS async_insert=0 FORMAT JSONEachRow {}", b"INSERT INTO t ",
         b"SETTINGS async_insert=0 ", "JSONEachRow", b"{}"),
        (b"INSERT INTO t FORMAT RowBinary\n\n\t", b"INSERT INTO t ", b"", "RowBinary", b"\n\t"),
    ],
)  # fmt: skip
def test_insert_with_rows(text: bytes, target: bytes, settings: bytes, format: str, data: bytes) -> None:
    insert = parse(text).insert
    assert insert == Insert(target, settings, format, len(text) - len(data))


@pytest.mark.parametrize("text", [b"INSERT INTO t SELECT 1", b"INSERT INTO t WITH 1 AS x SELECT x", b"SELECT 1", b""])
def test_no_rows_in_the_text(text: bytes) -> None:
    assert parse(text).insert is None


@pytest.mark.parametrize(
    ("text", "format"),
    [
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"select 'FORMAT CSV' from x\n FORMAT Native SETTINGS max_threads=1", "Native"),
        (b"SELECT (SELECT 1 FORMAT CSV), \"FORMAT\"", ""),
        (b"SHOW TABLES", ""),
    ],
)  # fmt: skip
def test_format_of_a_result(text: bytes, format: str) -> None:
    parsed = parse(text)
    assert (parsed.returning, parsed.format) == (True, format)


def test_statement_without_result() -> None:
    assert not parse(b"CREATE TABLE x (a UInt8) ENGINE = Memory").returning


@pytest.mark.parametrize("text", [b"SELECT 1 INTO OUTFILE 'x'", b"INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV"])
def test_files_of_the_server(text: bytes) -> None:
    assert parse(text).names_file


def test_quoted_words_name_no_file() -> None:
    assert not parse(b"SELECT 'INFILE', `OUTFILE` -- OUTFILE").names_file


@given(st.binary(max_size=200))
def test_rows_are_never_looked_at(rows: bytes) -> None:
    head = b"INSERT INTO `t` (`a`) FORMAT Native\n"
    assert parse(head + rows).insert == Insert(b"INSERT INTO `t` (`a`) ", b"", "Native", len(head))


@given(st.binary(max_size=200))
def test_anything_is_taken(text: bytes) -> None:
    insert = parse(b"INSERT " + text).insert
    assert insert is None or insert.data <= len(text) + 7
    parse(text)
