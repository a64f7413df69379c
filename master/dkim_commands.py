"""``postjet dkim``: make keys, print the records to publish, compare them with DNS."""

from dataclasses import asdict, dataclass
from typing import Annotated

import dns.exception
import dns.resolver
import typer
from dns.nameserver import Do53Nameserver

from common import config_file
from common.config import Config
from common.errors import NotFoundError
from common.key_store import KeyStore
from common.keys import BadKeyError, KeyFile, KeyType, SigningKey, default_selector, public_record, signing_domain
from common.section import split_host_port
from master.tables import print_json, print_table

_LOOKUP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Check:
    """What DNS says of one key."""

    name: str
    """Of the record."""
    state: str
    """``ok``, ``missing``, ``differs``, ``unknown`` (no answer) or ``unusable`` (the key file)."""
    detail: str = ""
    publish: str = ""
    """The line for the zone where the record must change."""


def record_line(key: SigningKey) -> str:
    """The record as a line of a zone file; strings are 255 bytes at most (RFC 1035 3.3)."""
    text = public_record(key)
    strings = " ".join(f'"{text[i : i + 255]}"' for i in range(0, len(text), 255))
    return f"{key.record_name} IN TXT {strings}"


def key_store(config: Config) -> KeyStore:
    """The keys at the configured place."""
    return KeyStore(config.dkim.keys, config.data_dir, config.dkim.cache)


def key_files(config: Config, domain: str | None) -> list[KeyFile]:
    """Key files of one domain or all. Raises NotFoundError when there is none, UsageError for a bad name."""
    domain = domain and signing_domain(domain)
    files = key_store(config).files(domain)
    if not files:
        of = f" of {domain}" if domain else ""
        raise NotFoundError(f"no DKIM key{of}; make one with: postjet dkim new {domain or 'DOMAIN'}")
    return files


def check(config: Config, domain: str | None) -> list[Check]:
    """Compare the keys of one domain, or all, with DNS. Raises NotFoundError when there is none."""
    resolver = _resolver(config)
    return [_check(file, resolver) for file in key_files(config, domain)]


def _check(file: KeyFile, resolver: dns.resolver.Resolver) -> Check:
    try:
        key = file.load()
    except BadKeyError as error:
        return Check(f"{file.selector}._domainkey.{file.domain}.", "unusable", str(error))
    try:
        answer = resolver.resolve(key.record_name, "TXT", lifetime=_LOOKUP_SECONDS)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return Check(key.record_name, "missing", publish=record_line(key))
    except dns.exception.DNSException as error:
        return Check(key.record_name, "unknown", str(error))
    # RFC 6376 3.6.2.2: the strings of a record are one text; more than one record: undefined
    texts = [b"".join(record.strings).decode(errors="replace") for record in answer]
    if len(texts) == 1 and _same(texts[0], public_record(key)):
        return Check(key.record_name, "ok")
    return Check(key.record_name, "differs", "found " + ", ".join(texts), record_line(key))


def _same(found: str, expected: str) -> bool:
    theirs, ours = _tags(found), _tags(expected)
    # RFC 6376 3.6.1: v and k may be left out
    return ours == {"v": theirs.get("v", "DKIM1"), "k": theirs.get("k", "rsa"), "p": theirs.get("p", "")}


def _tags(record: str) -> dict[str, str]:
    """RFC 6376 3.2: tag=value with white space that counts for nothing here."""
    pairs = (part.partition("=") for part in "".join(record.split()).split(";"))
    return {name: value for name, _, value in pairs}


def _resolver(config: Config) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=not config.dns.nameservers)
    if config.dns.nameservers:
        resolver.nameservers = [Do53Nameserver(*split_host_port(text, 53)) for text in config.dns.nameservers]
    return resolver


app = typer.Typer(help="DKIM keys: make them, print their records, compare them with DNS.", no_args_is_help=True)
Domain = Annotated[str, typer.Argument(help="such as example.com")]
Json = Annotated[bool, typer.Option("--json", help="for programs")]


@app.command()
def new(
    context: typer.Context,
    domain: Domain,
    selector: Annotated[str, typer.Option(help="pj<year><month>r or …e unless said")] = "",
    kind: Annotated[KeyType, typer.Option("--type")] = "rsa",
) -> None:
    """Make a key pair and print the record to publish. Mail is signed with it from the next minute on."""
    file = key_store(_config(context)).create(domain, selector or default_selector(kind), kind)
    typer.echo(f"{file.path} written; publish this record:", err=True)
    typer.echo(record_line(file.load()))


@app.command()
def show(context: typer.Context, domain: Domain, as_json: Json = False) -> None:
    """Print the records of a domain, each on one line."""
    keys = [file.load() for file in key_files(_config(context), domain)]
    if as_json:
        print_json([{"name": key.record_name, "type": "TXT", "text": public_record(key)} for key in keys])
    else:
        typer.echo("\n".join(map(record_line, keys)))


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List all keys."""
    rows = [_describe(file) for file in key_files(_config(context), None)]
    if as_json:
        print_json(rows)
    else:
        print_table(rows)


@app.command("check")
def check_(
    context: typer.Context,
    domain: Annotated[str | None, typer.Argument(help="all unless said")] = None,
    as_json: Json = False,
) -> None:
    """Compare the keys with the records in DNS; exit code 1 when anything is not as it should be."""
    checks = check(_config(context), domain)
    if as_json:
        print_json([asdict(each) for each in checks])
    else:
        print_table([{"name": each.name, "state": each.state, "detail": each.detail} for each in checks])
        for line in filter(None, (each.publish for each in checks)):
            typer.echo(f"publish: {line}")
    if any(each.state != "ok" for each in checks):
        raise typer.Exit(1)


def _config(context: typer.Context) -> Config:
    return config_file.load(context.obj)[0]


def _describe(file: KeyFile) -> dict[str, str]:
    row = {"domain": file.domain, "selector": file.selector, "type": "", "file": str(file.path), "problem": ""}
    try:
        row["type"] = file.load().type
    except BadKeyError as error:
        row["problem"] = str(error)
    return row
