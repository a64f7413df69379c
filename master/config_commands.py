"""``postjet config`` and ``postjet check``."""

import json
import os
import shutil
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from common import config_text
from common.classify.reading import shipped as shipped_classes
from common.config import Config, without_password
from common.config_file import load
from common.errors import ConfigError
from common.key_store import KeyStore
from common.keys import BadKeyError
from common.listener import Listener
from common.policies import check as check_rules
from common.policies import reading
from common.policies.reading import Rules
from common.section import split_host_port
from common.sockets import check_sources
from common.units import format_size
from master import data_dir, nats_server
from smtpd_ingress import tls

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
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Check configuration, rules, data folder, programs and keys; exit code 78 or 73 when something is wrong.

    Every rule on receivers is tried on the samples beside it, the shipped ones too.
    """
    config, file = load(context.obj)
    path = Path(config.data_dir)
    nearest = next(p for p in (path, *path.parents) if p.exists())
    if path.exists() or not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        data_dir.prepare(config.data_dir)  # which says what is wrong
    check_sources(config.pools)
    if not config.nats.url:
        nats_server.executable()
    rules = reading.shipped() + reading.of_config(config, file)
    problems = check_rules.problems(rules, config) + check_rules.of_classes(rules)
    bad, bad_certificates = _bad_keys(config), _bad_certificates(config)
    bad_webhooks, warnings = _bad_webhooks(config), _warnings(config)
    if as_json:
        rows = [asdict(problem) for problem in problems]
        count = rules.count + len(shipped_classes())
        found = {"rules": count, "problems": rows, "keys": bad, "certificates": bad_certificates,
                 "webhooks": bad_webhooks, "warnings": warnings}  # fmt: skip
        print(json.dumps({"file": str(file or ""), **found}, indent=2))
    else:
        for warning in warnings:
            typer.echo(f"warning: {warning}", err=True)
    if problems or bad or bad_certificates or bad_webhooks:
        raise ConfigError("\n".join([*map(str, problems), *bad, *bad_certificates, *bad_webhooks]))
    if not (quiet or as_json):
        _tell(config, file, nearest, rules)


def _bad_keys(config: Config) -> list[str]:
    """What is wrong with key files."""
    bad = []
    for key_file in _key_store(config).files():
        try:
            key_file.load()
        except BadKeyError as error:
            bad.append(str(error))
    return bad


def _bad_certificates(config: Config) -> list[str]:
    """What is wrong with certificates of listeners."""
    bad = []
    for listener in config.listeners:
        try:
            tls.check(listener)
        except tls.BadCertificateError as error:
            bad.append(str(error))
    return bad


def _bad_webhooks(config: Config) -> list[str]:
    """What is wrong with files that webhooks name; the rest the configuration's own checks have said."""
    bad: list[str] = []
    if config.webhooks:
        from events.hooks.client import tls_of  # an HTTP client is not for everybody to load
    for webhook in config.webhooks:
        try:
            tls_of(webhook)
        except ConfigError as error:
            bad.append(str(error))
    return bad


def _warnings(config: Config) -> list[str]:
    """What may be meant so, for other machines may do it, and else keeps something from working."""
    closed = {listener.name: _why_no_strangers(listener) for listener in config.listeners}
    if not config.feedback.domain or not all(closed.values()):
        return []
    why = ", ".join(f"{name} ({reason})" for name, reason in closed.items())
    return [
        f"feedback.domain: bounces and complaints to {config.feedback.domain} come from strangers, and no listener here"
        f' takes mail from them: {why}; add one such as [[listeners]] name = "mx", bind = "0.0.0.0:25", auth = "none"'
    ]


def _why_no_strangers(listener: Listener) -> str:
    """Why MX clients of others bring it nothing; "" where they do."""
    if listener.auth == "required":
        return 'auth = "required"'
    if listener.tls == "implicit":  # they begin in clear
        return 'tls = "implicit"'
    host, _ = split_host_port(listener.bind)
    if ip_address(host).is_loopback and not listener.proxy:
        return f"bind = {listener.bind}, this machine alone"
    return ""


def _key_store(config: Config) -> KeyStore:
    return KeyStore(config.dkim.keys, config.data_dir, config.dkim.cache)


def _tell(config: Config, file: Path | None, nearest: Path, rules: Rules) -> None:
    free = shutil.disk_usage(nearest).free
    short = "" if "." in config.hostname else "  (not a full name: MX hosts may refuse it)"
    print(f"configuration  {file or 'defaults (no file)'}")
    print(f"hostname       {config.hostname}{short}")
    print(f"data folder    {config.data_dir}, {format_size(free)} free")
    print(f"broker         {without_password(config.nats.url) or 'embedded nats-server'}")
    print(f"events         {'external ClickHouse' if config.clickhouse.url else 'embedded ClickHouse'}")
    for listener in config.listeners:
        certificate = tls.check(listener)
        secure = f", TLS ({listener.tls}, valid until {certificate.until:%Y-%m-%d})" if certificate else ""
        clients = [] if listener.auth == "required" else list(listener.networks)
        users = [] if listener.auth == "none" else ["users who log in"]
        relays = ", ".join(clients + users) or "nobody"
        print(f"listener       {listener.name} on {listener.bind}, relays for {relays}{secure}")
    if config.feedback.domain:
        names = ", ".join(dict.fromkeys([*config.feedback.addresses, "postmaster"]))
        print(f"feedback       return paths at {config.feedback.domain}; mail to {names} there, too")
    for webhook in config.webhooks:
        print(f"webhook        {webhook.name} to {webhook.shown_url}")
    for name, pool in config.pools.items():
        sources = ", ".join(pool.source_addresses) or "what the system chooses"
        print(f"pool           {name} from {sources}, as {pool.ehlo or config.hostname}")
    own = len(config.providers + config.policies + config.replies + config.classes)
    print(f"rules          {rules.count + len(shipped_classes())}, of which {own} your own")
    keys = _key_store(config)
    print(f"DKIM keys      {len(keys.files())} at {keys.place}")
    print("all right")
