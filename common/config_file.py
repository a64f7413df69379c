"""Find, read and check the configuration file; errors that name the key and the remedy."""

import difflib
import os
import re
import socket
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from common.config import Config
from common.errors import ConfigError
from common.toml_lines import array_lines

Model = typing.TypeVar("Model", bound=BaseModel)

ENVIRONMENT_PREFIX = "POSTJET_"
#: Variables of ours that name no key.
NOT_KEYS = {"POSTJET_CONFIG", "POSTJET_CORPORA"}


def load(file: str | None = None, environ: Mapping[str, str] = os.environ) -> tuple[Config, Path | None]:
    """The configuration and the file it came from (None: defaults). Raises ConfigError.

    Looks at ``file`` (``--config``), ``$POSTJET_CONFIG``, ``./postjet.toml``,
    ``/etc/postjet/postjet.toml``; the first that is named or there counts. ``POSTJET_A__B`` overrides ``[a] b``.
    """
    path = find(file, environ)
    text = _read(path) if path else ""
    values = parse(text, path)
    _override(values, environ)
    config = validated(Config, values, text, str(path) if path else "configuration")
    base = path.parent if path else Path.cwd()
    return config.model_copy(
        update={
            "hostname": config.hostname or socket.getfqdn(),
            "data_dir": str((base / config.data_dir).resolve()),
        }
    ), path


def find(file: str | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file to read. Raises ConfigError when one was named and is not there."""
    for named in (file, environ.get("POSTJET_CONFIG")):
        if named:
            if not Path(named).is_file():
                raise ConfigError(f"{named}: no such configuration file")
            return Path(named).resolve()
    places = (Path("postjet.toml"), Path("/etc/postjet/postjet.toml"))
    return next((place.resolve() for place in places if place.is_file()), None)


def parse(text: str, where: object) -> dict[str, Any]:
    """A TOML text as a dictionary. Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: no valid TOML: {error}") from None


def validated(section: type[Model], values: Any, text: str, where: str) -> Model:
    """Values as a section. Raises ConfigError with a line per mistake, which begins with ``where`` and, in an array
    of tables of ``text``, the line at which its table begins."""
    try:
        return section.model_validate(values)
    except ValidationError as error:
        found = array_lines(text)
        lines = [f"{where}{_line(found, place)}: {said}" for place, said in describe(error, section)]
        raise ConfigError("\n".join(lines)) from None


def _line(found: dict[str, list[int]], place: list[Any]) -> str:
    lines = found.get(str(place[0]), []) if len(place) > 1 and isinstance(place[1], int) else []
    return f":{lines[place[1]]}" if lines and place[1] < len(lines) else ""


def describe(error: ValidationError, section: type[BaseModel]) -> list[tuple[list[Any], str]]:
    """Of each mistake its place, and in one line: the key as it is written in the file, what is wrong, what to do."""
    lines = []
    for mistake in error.errors():
        place = [part for part in mistake["loc"] if part != "[key]"]
        name = _dotted(place)
        if mistake["type"] == "extra_forbidden":
            said = f"unknown key {name}{_nearest(place, section)}"
        else:
            message = mistake["msg"].removeprefix("Value error, ")
            about_a_key = mistake["type"] == "value_error" and re.match(r"[a-z_]+: ", message)
            said = f"{name}{'.' if about_a_key else ': '}{message}" if name else message
        lines.append((place, said))
    return lines


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: no valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _override(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Lay ``POSTJET_A__B=value`` over the file. A value is TOML where it parses as such, else text."""
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in NOT_KEYS:
            continue
        *tables, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        table: Any = values
        for name in tables:
            table = table[int(name)] if isinstance(table, list) and name.isdigit() else table.setdefault(name, {})
        table[key] = _toml_or_text(text)


def _toml_or_text(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _dotted(place: list[Any]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _nearest(place: list[Any], section: Any) -> str:
    """A hint with the known key that looks most like the unknown one."""
    for part in place[:-1]:
        if part in section.model_fields:  # else an index or a name within a list or table of sections
            section = _section(section.model_fields[part].annotation)
    known = [field.alias or name for name, field in section.model_fields.items()]
    near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
    return f"; did you mean {_dotted([*place[:-1], near[0]])}?" if near else "; see 'postjet config reference'"


def _section(annotation: Any) -> Any:
    """The section behind an annotation: itself, or the value type of a list, tuple or dict of sections."""
    if isinstance(annotation, types.GenericAlias) or typing.get_origin(annotation):
        return next(part for part in reversed(typing.get_args(annotation)) if part is not ...)
    return annotation
