"""What ``postjet user`` is given: names, bounds, options and passwords, checked before anything is stored."""

import sys
import time
from typing import Any

import typer

from common.config import Config
from common.config_file import validated
from common.errors import ConfigError, UsageError
from common.options import OptionError, read
from common.users.credentials import generated, hashed
from common.users.user import ANY, User, user_name

#: Characters that a password has at least.
MIN_PASSWORD = 8


def parse_name(text: str) -> str:
    """A user's name in its one form. Raises UsageError."""
    try:
        return user_name(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def parse_changes(
    senders: list[str] | None, pools: list[str] | None, options: list[str] | None, rates: list[str] | None,
    quota: int | None,
) -> dict[str, Any]:  # fmt: skip
    """What was given, by the names of ``User``; an empty text is none of a list."""
    changes: dict[str, Any] = {} if quota is None else {"quota": quota}
    if senders is not None:
        changes["senders"] = list(filter(None, senders)) or [ANY]
    if pools is not None:
        changes["pools"] = list(filter(None, pools)) or [ANY]
    if rates is not None:
        changes["rate"] = list(filter(None, rates))
    if options is not None:
        changes["options"] = parse_options(list(filter(None, options)))
    return changes


def parse_options(texts: list[str]) -> dict[str, list[str]]:
    """``name=value``, a name several times for several values. Raises UsageError."""
    options: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--option: {text!r} is not name=value, such as priority=7")
        options.setdefault(name.strip().lower(), []).append(value.strip())
    return options


def checked(values: dict[str, Any], config: Config) -> User:
    """A user that can be in this configuration. Raises UsageError."""
    try:
        user = validated(User, values, "", "")
    except ConfigError as error:
        raise UsageError(str(error).replace("\n: ", "; ").removeprefix(": ")) from None
    for pool in user.pools:
        if pool not in (ANY, *config.pools):
            raise UsageError(f"{pool!r} is no pool of the configuration; there are {', '.join(config.pools)}")
    try:
        read(user.options, time.time(), config.pools, config.webhook_names)
    except OptionError as error:
        raise UsageError(f"--option: {error.name}: {error}") from None
    return user


def ask_password(from_stdin: bool, generate: bool) -> str:
    """From where it was said to come. Raises UsageError."""
    if generate and from_stdin:
        raise UsageError("--generate and --password-stdin: one of them")
    if generate:
        return generated()
    if from_stdin:
        password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    elif sys.stdin.isatty():
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt="The same again"))
    else:
        raise UsageError("no terminal to ask for the password; use --password-stdin or --generate")
    if len(password) < MIN_PASSWORD:
        raise UsageError(f"the password has fewer than {MIN_PASSWORD} characters")
    return password


def hashes(password: str) -> dict[str, str]:
    """What is stored of a password. Raises UsageError."""
    try:
        return hashed(password)
    except ValueError as error:
        raise UsageError(str(error)) from None
