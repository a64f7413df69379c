"""``postjet up``, ``postjet run ROLE``, and how every command is begun; those two load nothing of the others."""

import asyncio
import importlib
import os
import sys
from typing import Annotated

import typer

from common import log, role
from common.config_file import load
from common.errors import PostjetError, UsageError
from common.sockets import check_sources

ROLES = ("smtpd_ingress", "outbound", "dsn", "events", "api")


def options(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(help="Configuration; else $POSTJET_CONFIG, ./postjet.toml, /etc/postjet/postjet.toml"),
    ] = None,
) -> None:
    """Before any command."""
    context.obj = config


def up(context: typer.Context) -> None:
    """Start everything: the embedded servers unless a URL replaces them, then the roles. Ctrl-C stops."""
    from common.policies.policies import Policies  # a role has no use for a parent
    from master.parent import Parent

    config, file = load(context.obj)
    Policies.load(config, file)  # a mistake in the rules is told before anything starts
    log.setup(config.log, config.hostname, "master")
    asyncio.run(Parent(config, file).run())


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


def main() -> None:
    """Run one of the two."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(options)
    app.command()(up)
    app.command()(run)
    invoke(app)


def invoke(app: typer.Typer, argv: list[str] | None = None) -> None:
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
