"""``postjet dkim`` as people and programs see it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import dns.rdata
import pytest
from typer.testing import CliRunner, Result

from common.errors import NotFoundError, UsageError
from common.keys import BadKeyError
from master.demo.dns_server import DnsServer
from master.dkim_commands import app

Run = Callable[..., Result]


@pytest.fixture
async def dns_server(run: Run, tmp_path: Path) -> AsyncIterator[DnsServer]:
    """The server that the configuration names."""
    async with DnsServer() as running:
        configure(tmp_path, f'[dns]\nnameservers = ["{running.address}"]')
        yield running


@pytest.fixture
def run(tmp_path: Path) -> Run:
    configure(tmp_path, "")
    return lambda *arguments: CliRunner().invoke(app, arguments, obj=str(tmp_path / "postjet.toml"))


def configure(folder: Path, text: str) -> None:
    (folder / "postjet.toml").write_text(text)


def new(run: Run, domain: str, kind: str = "rsa", selector: str = "s1") -> str:
    """The record line of a new key."""
    return run("new", domain, "--type", kind, "--selector", selector).stdout.strip()


def text_of(line: str) -> tuple[str, str]:
    """Name and text of a zone file's line."""
    name, _, strings = line.partition(" IN TXT ")
    return name, b"".join(dns.rdata.from_text("IN", "TXT", strings).strings).decode()


def test_new_prints_the_record_alone_to_standard_output(run: Run, tmp_path: Path) -> None:
    result = run("new", "Example.com")
    assert result.exit_code == 0
    (file,) = (tmp_path / "var" / "dkim").iterdir()
    assert str(file) in result.stderr
    assert file.name.startswith("example.com.pj")
    name, text = text_of(result.stdout.strip())
    assert name == file.name.removeprefix("example.com.").removesuffix(".pem") + "._domainkey.example.com."
    assert text.startswith("v=DKIM1; k=rsa; p=MII")


def test_both_types_fit_side_by_side(run: Run) -> None:
    assert [run("new", "example.com", "--type", kind).exit_code for kind in ("rsa", "ed25519")] == [0, 0]
    assert len(run("show", "example.com").stdout.splitlines()) == 2


def test_show_prints_each_record_on_one_line(run: Run) -> None:
    lines = [new(run, "example.com", kind, selector) for kind, selector in (("rsa", "a"), ("ed25519", "b"))]
    assert run("show", "EXAMPLE.com").stdout.splitlines() == lines
    assert len(lines[0]) > 400
    assert all(len(string) <= 255 for string in lines[0].split('"')[1::2])
    assert '" "' in lines[0]
    shown = json.loads(run("show", "example.com", "--json").stdout)
    assert [(row["name"], row["text"]) for row in shown] == [text_of(line) for line in lines]


def test_list(run: Run, tmp_path: Path) -> None:
    new(run, "example.com")
    broken = tmp_path / "var" / "dkim" / "example.net.s1.pem"
    broken.write_text("x")
    rows = json.loads(run("list", "--json").stdout)
    assert [(row["domain"], row["selector"], row["type"]) for row in rows] == [
        ("example.com", "s1", "rsa"), ("example.net", "s1", ""),
    ]  # fmt: skip
    assert str(broken) in rows[1]["problem"]
    assert "example.net" in run("list").stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["show", "example.org"], NotFoundError),
        (["show", "../etc"], UsageError),
        (["check", "example.org"], NotFoundError),
        (["show", "broken.example"], BadKeyError),
        (["new", "example.com", "--selector", "../a"], UsageError),
    ],
)
def test_what_cannot_be_done_says_why(run: Run, tmp_path: Path, arguments: list[str], error: type) -> None:
    new(run, "example.com")
    (tmp_path / "var" / "dkim" / "broken.example.s.pem").write_text("x")
    result = run(*arguments)
    assert isinstance(result.exception, error)
    assert result.stdout == ""


async def test_check_compares_with_dns(run: Run, dns_server: DnsServer) -> None:
    lines = {domain: new(run, domain, "ed25519") for domain in ("a.test", "b.test", "c.test", "d.test", "e.test")}
    names = {domain: text_of(line)[0] for domain, line in lines.items()}
    text = text_of(lines["a.test"])[1]
    dns_server.zone.add(names["a.test"], "TXT", text.removeprefix("v=DKIM1; ").replace("; p=", " ;p= ") + ";")
    dns_server.zone.add(names["b.test"], "TXT", text)
    dns_server.misbehave(names["d.test"], "SERVFAIL")
    e = text_of(lines["e.test"])[1]
    dns_server.zone.add(names["e.test"], "TXT", e, e + " ")

    result = await asyncio.to_thread(run, "check", "--json")
    found = {row["name"]: row for row in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert {domain: found[name]["state"] for domain, name in names.items()} == {
        "a.test": "ok", "b.test": "differs", "c.test": "missing", "d.test": "unknown", "e.test": "differs",
    }  # fmt: skip
    assert {row["publish"] for row in found.values()} == {"", lines["b.test"], lines["c.test"], lines["e.test"]}

    assert (await asyncio.to_thread(run, "check", "a.test")).exit_code == 0
    missing = await asyncio.to_thread(run, "check", "c.test")
    assert missing.exit_code == 1
    assert f"publish: {lines['c.test']}" in missing.stdout.splitlines()


async def test_check_takes_records_of_several_strings(run: Run, dns_server: DnsServer) -> None:
    name, text = text_of(new(run, "example.com"))
    dns_server.zone.add(name, "TXT", text)
    assert (await asyncio.to_thread(run, "check")).exit_code == 0


async def test_check_names_files_that_are_no_keys(run: Run, tmp_path: Path) -> None:
    (tmp_path / "var" / "dkim").mkdir(parents=True)
    (tmp_path / "var" / "dkim" / "example.com.s.pem").write_text("x")
    result = run("check", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["state"] == "unusable"
