"""``postjet user``: who may log in to send, as whom and how much; in force within a second."""

import time
from typing import Annotated

import typer

from common.broker import Broker
from common.config import Config
from common.config_file import load
from common.entry import DEFAULT_POOL
from common.errors import NotFoundError, UsageError
from common.event import Event, Type
from common.queue import rows
from common.users import store, usage
from common.users.credentials import unusable
from common.users.user import User
from master.control_commands import me
from master.queue_commands import with_broker
from master.tables import aligned, print_json, print_table
from master.user_input import ask_password, checked, hashes, parse_changes, parse_name

app = typer.Typer(
    help="Users who may log in to send (AUTH); what is changed is in force within a second.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(help="letters, digits and . _ @ + -, such as app or app@example.com")]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="read the password from standard input")]
Generate = Annotated[bool, typer.Option("--generate", help="make a password and print it, once")]
_Texts = list[str] | None
Senders = Annotated[
    _Texts, typer.Option("--sender", help="allowed as envelope sender: a@example.com, @example.com, @*.example.com, *")
]
Pools = Annotated[_Texts, typer.Option("--pool", help="that its mail may choose; * is any")]
Options = Annotated[
    _Texts, typer.Option("--option", help="for mail that does not set it, as X-Postjet-…: priority=7, tag=a, pool=bulk")
]
Rates = Annotated[_Texts, typer.Option("--rate", help="mails in any so long: 100/m, 5000/h")]
Quota = Annotated[int | None, typer.Option(min=0, help="recipients in any 24 hours; 0 is no limit")]


@app.command()
def add(
    context: typer.Context, name: Name, sender: Senders = None, pool: Pools = None, option: Options = None,
    rate: Rates = None, quota: Quota = None, from_stdin: FromStdin = False, generate: Generate = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Add a user; asks for a password. Give an option several times for a list: --sender @a.test --sender @b.test"""
    config, _ = load(context.obj)
    name = parse_name(name)
    user = checked({"name": name, **unusable(), **parse_changes(sender, pool, option, rate, quota)}, config)
    known, sequence = _find(config, name)
    if known:
        raise UsageError(f"there is a user {name!r} already; see 'postjet user set --help'")
    password = ask_password(from_stdin, generate)
    _write(config, user.model_copy(update=hashes(password)), sequence, "added")
    _say(user, "added", password if generate else "", as_json)


@app.command("set")
def set_(
    context: typer.Context, name: Name, sender: Senders = None, pool: Pools = None, option: Options = None,
    rate: Rates = None, quota: Quota = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Change what a user may do. A list that is given takes the place of the old one; --rate '' takes all away."""
    config, _ = load(context.obj)
    changes = parse_changes(sender, pool, option, rate, quota)
    if not changes:
        raise UsageError("nothing to change; give --sender, --pool, --option, --rate or --quota")
    known, sequence = _known(config, name)
    user = checked({**known.stored(), **changes}, config)
    _write(config, user, sequence, "changed")
    _say(user, "changed", "", as_json)


@app.command()
def passwd(
    context: typer.Context, name: Name, from_stdin: FromStdin = False, generate: Generate = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Give a user another password. Sessions that have logged in with the old one go on."""
    config, _ = load(context.obj)
    user, sequence = _known(config, name)
    password = ask_password(from_stdin, generate)
    _write(config, user.model_copy(update=hashes(password)), sequence, "given another password")
    _say(user, "given another password", password if generate else "", as_json)


@app.command()
def remove(context: typer.Context, name: Name) -> None:
    """Remove a user, and what is counted of its quota."""
    config, _ = load(context.obj)
    user, sequence = _known(config, name)

    async def work(broker: Broker) -> None:
        await store.remove(broker, user.name, sequence)
        await usage.forget(broker, user.name)
        await _record(broker, user.name, "removed")

    with_broker(config, work)
    print(f"user {user.name} removed")


@app.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show a user, and how much of its rates and its quota is used."""
    config, _ = load(context.obj)
    user, _ = _known(config, name)

    async def work(broker: Broker) -> None:
        counted, _ = await usage.read(broker, user.name)
        used = {str(bound): counted.used(bound, time.time()) for bound in usage.bounds(user)}
        if as_json:
            print_json({**user.shown(), "used": used})
        else:
            rows = {**_cells(user), "used": ", ".join(f"{count} of {bound}" for bound, count in used.items())}
            print("\n".join(aligned([(key, value) for key, value in rows.items() if value])))

    with_broker(config, work)


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List all users."""
    config, _ = load(context.obj)

    async def work(broker: Broker) -> None:
        users = sorted(filter(None, map(store.read, await store.entries(broker))), key=lambda user: user.name)
        if as_json:
            print_json([user.shown() for user in users])
        elif users:
            print_table(list(map(_cells, users)))
        else:
            print("No users; add one with: postjet user add NAME")

    with_broker(config, work)


def _find(config: Config, name: str) -> tuple[User | None, int]:
    found: list[tuple[User | None, int]] = []

    async def work(broker: Broker) -> None:
        found.append(await store.find(broker, name))

    with_broker(config, work)
    return found[0]


def _known(config: Config, name: str) -> tuple[User, int]:
    user, sequence = _find(config, parse_name(name))
    if not user:
        raise NotFoundError(f"there is no user {name!r}; 'postjet user list' names all")
    return user, sequence


def _write(config: Config, user: User, sequence: int, what: str) -> None:
    """Store a user, where nobody else has since it was read."""

    async def work(broker: Broker) -> None:
        await store.put(broker, user, sequence)
        await _record(broker, user.name, what)

    with_broker(config, work)


async def _record(broker: Broker, name: str, what: str) -> None:
    event = Event(time=time.time(), type=Type.ADMIN, reason="user", text=f"user {name} {what} by {me()}")
    await broker.store([rows.message(DEFAULT_POOL, [event])])


def _say(user: User, what: str, password: str, as_json: bool) -> None:
    """The one time that a password which was made is seen."""
    if as_json:
        print_json({**user.shown(), **({"password": password} if password else {})})
        return
    print(f"user {user.name} {what}")
    if password:
        print(f"password: {password}")


def _cells(user: User) -> dict[str, str]:
    options = (f"{name}={value}" for name, values in user.options.items() for value in values)
    return {
        "name": user.name, "senders": " ".join(user.senders), "pools": " ".join(user.pools),
        "options": " ".join(options), "rate": " ".join(map(str, user.rate)),
        "quota": f"{user.quota}/d" if user.quota else "",
    }  # fmt: skip
