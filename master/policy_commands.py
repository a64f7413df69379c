"""``postjet policy``: rules laid over the configuration while everything runs."""

import json
import tomllib
from typing import Annotated, Any

import typer

from common import config_file
from common.broker import Broker
from common.config import Config
from common.errors import ConfigError, NotFoundError, UsageError
from common.policies import check, kv, reading
from common.policies.reading import Rules
from common.policies.rules import rule_name
from master.queue_commands import with_broker
from master.tables import print_json, print_table

app = typer.Typer(
    help="Rules for receivers that lie over those of the configuration, in force within seconds.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(help="of the rule: lower-case letters, digits, - and _")]


@app.command("list")
def list_(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False
) -> None:
    """List the rules set here; those of the configuration are in its file."""
    config, file = config_file.load(context.obj)
    known = _known(config, file)

    async def work(broker: Broker) -> None:
        rows = [_row(name, body, known) for name, body in sorted((await kv.entries(broker)).items())]
        if as_json:
            print_json(rows)
        elif rows:
            shown = ({**row, "rule": "  ".join(f"{k}={_shown(v)}" for k, v in row["rule"].items())} for row in rows)
            print_table(list(shown))
        else:
            print("No rules; set one with: postjet policy set NAME domain=example.org rate=5/s")

    with_broker(config, work)


@app.command("set")
def set_(
    context: typer.Context,
    name: Name,
    values: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help="as in [[policies]]; or TOML")],
) -> None:
    """Set a rule, in place of one of the same name: postjet policy set slow domain=example.org rate=5/s rate=1000/h"""
    config, file = config_file.load(context.obj)
    rule = parse(values)
    known = _known(config, file)
    try:
        rule_name(name)
        written = kv.read(name, rule, known)
    except ValueError as error:
        raise UsageError(str(error)) from None
    except ConfigError as error:
        raise UsageError(str(error).replace(f"KV {name}: ", "")) from None
    problems = check.problems(known + Rules(policies=(written,)), config)
    if mine := [problem.text for problem in problems if problem.origin == written.origin]:
        raise UsageError("; ".join(mine))
    with_broker(config, lambda broker: kv.put(broker, name, rule))


@app.command()
def remove(context: typer.Context, name: Name) -> None:
    """Remove a rule that was set here."""
    config, _ = config_file.load(context.obj)

    async def work(broker: Broker) -> None:
        if not await kv.remove(broker, name):
            raise NotFoundError(f"there is no rule {name!r}; 'postjet policy list' names all")

    with_broker(config, work)


def parse(arguments: list[str]) -> dict[str, Any]:
    """``key=value``, a key several times for a list, or TOML, as one rule. Raises UsageError."""
    rule: dict[str, Any] = {}
    for argument in arguments:
        for key, value in _pairs(argument).items():
            rule[key] = value if key not in rule else [*_as_list(rule[key]), *_as_list(value)]
    return rule


def _pairs(argument: str) -> dict[str, Any]:
    try:
        return tomllib.loads(argument)
    except tomllib.TOMLDecodeError as error:
        key, equals, text = argument.partition("=")
        if not equals or "\n" in argument:
            raise UsageError(f"{argument!r} is neither key=value nor TOML: {error}") from None
        return {key.strip(): text.strip()}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _known(config: Config, file: Any) -> Rules:
    return reading.shipped() + reading.of_config(config, file)


def _row(name: str, body: bytes, known: Rules) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "rule": {}, "problem": ""}
    try:
        row["rule"] = json.loads(body)
        kv.read(name, row["rule"], known)
    except (ConfigError, ValueError) as error:
        row["problem"] = str(error)
    return row


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
