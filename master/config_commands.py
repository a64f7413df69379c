"""``postjet config`` and ``postjet check``."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from common import config_text
from common.config import without_password
from common.config_file import load
from common.errors import ConfigError
from common.key_store import KeyStore
from common.keys import BadKeyError
from common.sockets import check_sources
from common.units import format_size
from master import data_dir, nats_server

app = typer.Typer(help="Print the configuration.", no_args_is_help=True, rich_markup_mode=None)


@app.command("default")
def default() -> None:
    """Print a configuration file with every key at its default, commented."""
    print(config_text.default_file(), end="")


@app.command("show")
def show(context: typer.Context) -> None:
    """Print what is in force: file, environment and defaults."""
    config, file = load(context.obj)
    print(f"# from {file or 'defaults'}\n{config_text.in_force(config)}", end="")


@app.command("reference")
def reference() -> None:
    """Print the reference page, docs/configuration.md."""
    print(config_text.reference(), end="")


def check(
    context: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", help="say only what is wrong")] = False,
) -> None:
    """Check configuration, data folder, programs and keys; exit code 78 or 73 when something is wrong."""
    config, file = load(context.obj)
    path = Path(config.data_dir)
    nearest = next(p for p in (path, *path.parents) if p.exists())
    if path.exists() or not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        data_dir.prepare(config.data_dir)  # which says what is wrong
    check_sources(config.pools)
    if not config.nats.url:
        nats_server.executable()
    store = KeyStore(config.dkim.keys, config.data_dir, config.dkim.cache)
    bad = []
    for key_file in store.files():
        try:
            key_file.load()
        except BadKeyError as error:
            bad.append(str(error))
    if bad:
        raise ConfigError("; ".join(bad))
    if quiet:
        return
    free = shutil.disk_usage(nearest).free
    short = "" if "." in config.hostname else "  (not a full name: MX hosts may refuse it)"
    print(f"configuration  {file or 'defaults (no file)'}")
    print(f"hostname       {config.hostname}{short}")
    print(f"data folder    {path}, {format_size(free)} free")
    print(f"broker         {without_password(config.nats.url) or 'embedded nats-server'}")
    print(f"events         {'external ClickHouse' if config.clickhouse.url else 'embedded ClickHouse'}")
    for listener in config.listeners:
        print(f"listener       {listener.name} on {listener.bind}, relays for {', '.join(listener.networks) or 'none'}")
    for name, pool in config.pools.items():
        sources = ", ".join(pool.source_addresses) or "what the system chooses"
        print(f"pool           {name} from {sources}, as {pool.ehlo or config.hostname}")
    print(f"DKIM keys      {len(store.files())} at {config.dkim.keys}")
    print("all right")
