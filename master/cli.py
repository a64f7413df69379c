"""``postjet``: the command line."""

import asyncio
import contextlib
import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from common import log, role
from common.config_file import load
from common.entry import DEFAULT_POOL
from common.errors import PostjetError, UsageError
from common.policies.policies import Policies
from common.sockets import check_sources
from master import (
    config_commands,
    control_commands,
    dkim_commands,
    feedback_commands,
    hold_commands,
    policy_commands,
    queue_commands,
    story_commands,
    suppression_commands,
    top,
    user_commands,
)
from master.parent import Parent

ROLES = ("smtpd_ingress", "outbound", "dsn", "events", "api")

app = typer.Typer(
    name="postjet",
    help="An SMTP-native relay server: real SMTP in, a JetStream queue, delivery straight to MX hosts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(help="Configuration; else $POSTJET_CONFIG, ./postjet.toml, /etc/postjet/postjet.toml"),
    ] = None,
) -> None:
    context.obj = config


@app.command()
def up(context: typer.Context) -> None:
    """Start everything: the embedded servers unless a URL replaces them, then the roles. Ctrl-C stops."""
    config, file = load(context.obj)
    Policies.load(config, file)  # a mistake in the rules is told before anything starts
    log.setup(config.log, config.hostname, "master")
    asyncio.run(Parent(config, file).run())


@app.command()
def run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ROLE", help="smtpd_ingress, outbound, dsn, events or api")],
    pool: Annotated[str, typer.Option(help="the pool that outbound works for")] = "default",
    slot: Annotated[str, typer.Option(help="names this process among its kind, the same after a restart")] = "",
    socket: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run one role alone, for several machines."""
    if name not in ROLES:
        raise UsageError(f"{name!r} is no role; there are {', '.join(ROLES)}")
    main: role.Main = importlib.import_module(f"{name}.main").main  # a role loads nothing of the others
    config, file = load(context.obj)
    if pool not in config.pools:
        raise UsageError(f"{pool!r} is no pool of the configuration; there are {', '.join(config.pools)}")
    if name == "outbound" and not slot:  # the parent has looked, and starts a worker again whatever became of them
        check_sources({pool: config.pools[pool]})
    sockets = {listener: int(fd) for listener, _, fd in (text.partition("=") for text in socket or [])}
    slot = slot or f"pid{os.getpid()}"
    role.run(name, main, config, pool=pool, slot=slot, sockets=sockets, config_file=file)


@app.command()
def demo(
    stay: Annotated[bool, typer.Option("--stay", help="keep it running until Ctrl-C")] = False,
) -> None:
    """Show Postjet at work: 200 mails to 40 domains of a small internet on loopback."""
    from master.demo import demo as demonstration  # its DNS server and sinks are no part of a mail server

    told_to_end = contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError)
    with tempfile.TemporaryDirectory(prefix="postjet-demo-") as folder, told_to_end:
        asyncio.run(demonstration.run(Path(folder), stay=stay))


@app.command()
def explain(
    context: typer.Context,
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="the recipient's; or an address")],
    pool: Annotated[str, typer.Option(help="that sends it")] = DEFAULT_POOL,
    as_json: Annotated[bool, typer.Option("--json", help="one object")] = False,
) -> None:
    """Tell where a domain's mail goes, every limit and where it is written, and what holds mail back now."""
    from master import explain_command  # it asks DNS as a worker does, which other commands need not load

    config, file = load(context.obj)
    explain_command.run(config, file, domain, pool, as_json)


app.command()(config_commands.check)
app.add_typer(config_commands.app, name="config")
app.add_typer(dkim_commands.app, name="dkim")
app.add_typer(feedback_commands.app, name="feedback")
app.add_typer(policy_commands.app, name="policy")
app.add_typer(hold_commands.app, name="holds")
app.add_typer(user_commands.app, name="user")
app.add_typer(suppression_commands.app, name="suppression")
for commands in (queue_commands.app, control_commands.app, story_commands.app, top.app):
    app.registered_commands += commands.registered_commands


def main(argv: list[str] | None = None) -> None:
    """Run a command; what a person can put right is one line and an exit code of sysexits."""
    arguments = _config_first(sys.argv[1:] if argv is None else argv)
    try:
        app(arguments)
    except PostjetError as error:
        sys.stdout.flush()
        print(f"postjet: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as ended:
        sys.exit(os.EX_USAGE if ended.code == 2 else ended.code)  # the library's word for a wrong command line
    except BrokenPipeError:  # the reader of a pipe had enough
        sys.stderr.close()
        sys.exit(0)


def _config_first(arguments: list[str]) -> list[str]:
    """``--config FILE`` may stand anywhere: before the command or behind it."""
    for i, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == "--config" and i + 1 < len(arguments):
            return ["--config", arguments[i + 1], *arguments[:i], *arguments[i + 2 :]]
        if argument.startswith("--config="):
            return [argument, *arguments[:i], *arguments[i + 1 :]]
    return arguments


