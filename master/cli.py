"""``postjet``: the command line."""

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from common.config_file import load
from common.entry import DEFAULT_POOL
from master import (
    classify_command,
    config_commands,
    control_commands,
    dkim_commands,
    feedback_commands,
    hold_commands,
    personal_commands,
    policy_commands,
    queue_commands,
    report_commands,
    story_commands,
    suppression_commands,
    top,
    user_commands,
    webhook_commands,
)
from master.run_command import invoke, options, run, up

app = typer.Typer(
    name="postjet",
    help="An SMTP-native relay server: real SMTP in, a JetStream queue, delivery straight to MX hosts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


app.callback()(options)


app.command()(up)
app.command()(run)


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
app.add_typer(webhook_commands.app, name="webhook")
story_commands.events_app.registered_commands += personal_commands.app.registered_commands
app.add_typer(story_commands.events_app, name="events")
for commands in (
    queue_commands.app,
    control_commands.app,
    story_commands.app,
    report_commands.app,
    top.app,
    classify_command.app,
):
    app.registered_commands += commands.registered_commands


def main(argv: list[str] | None = None) -> None:
    """Run a command."""
    invoke(app, argv)
