"""What is installed is whole: packages, their data, the command. Also run alone, against an ordinary install."""

import configparser
import importlib
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _packages() -> list[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup["options"]["packages"].split()


def _postjet(*arguments: str) -> str:
    command = shutil.which("postjet", path=str(Path(sys.executable).parent))
    assert command
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("package", _packages())
def test_packages_are_importable(package: str) -> None:
    importlib.import_module(package)


def test_schema_is_there() -> None:
    folder = (files("conf") / "clickhouse").iterdir()
    schema = {file.name: file.read_text() for file in folder if file.name.endswith(".sql")}
    assert "CREATE TABLE" in schema["001_events.sql"]
    assert all(text.rstrip().endswith(";") for text in schema.values())


def test_shipped_rules_are_there() -> None:
    assert (files("conf") / "shaping.toml").is_file()


def test_command() -> None:
    assert "Usage: postjet" in _postjet("--help")
    assert "[delivery]" in _postjet("config", "default")


def test_reference_page_is_current() -> None:
    page = ROOT / "docs/configuration.md"
    if not page.exists():
        pytest.skip("no docs/configuration.md beside the tests")
    assert _postjet("config", "reference") == page.read_text()
