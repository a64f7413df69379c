"""``postjet feedback``: return paths, and the keys that they are signed with."""

import json
import time
from typing import Annotated

import typer

from common import verp_keys
from common.config import Config
from common.config_file import load
from common.errors import NotFoundError, UsageError
from common.verp_keys import Keyring
from events.story import rfc3339

app = typer.Typer(
    help="Return paths: which delivery one is of, a new key to sign them with.", no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="one object")]


@app.command()
def show(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="a return path, or an X-Postjet-Id")],
    as_json: AsJson = False,
) -> None:
    """Tell of which delivery a return path is, and when that left; 'postjet trace' tells the rest."""
    config = _configured(context)
    token = Keyring(config.feedback, config.data_dir).tokens().read(address.strip("<> ").partition("@")[0])
    if not token:
        raise NotFoundError(f"{address}: no return path that was signed with a key of this configuration")
    now = time.time()
    sent = now - token.age(now)
    left, until = rfc3339(sent), rfc3339(sent + config.feedback.valid)
    if as_json:
        asked = {"notify": token.notify, "ret": "HDRS" if token.headers_only else ""}
        print(json.dumps({"delivery": token.delivery, "left": left, "taken_until": until, **asked}))
    else:
        print(f"{token.delivery}  left on {left[:10]}, mail to it is taken until {until[:10]}")


@app.command()
def rotate(context: typer.Context, as_json: AsJson = False) -> None:
    """Sign with a new key from now on. The old ones are accepted as long as mail to their return paths is."""
    config = _configured(context)
    if config.feedback.secrets:
        raise UsageError("feedback.secrets: the keys are in the configuration; put a new one in front, on all machines")
    kept = verp_keys.rotate(config.data_dir, config.feedback.valid)
    if as_json:
        print(json.dumps({"accepted": kept}))
    else:
        print(f"a new key signs; {kept} older {'is' if kept == 1 else 'are'} accepted")


def _configured(context: typer.Context) -> Config:
    config, _ = load(context.obj)
    if not config.feedback.domain:
        raise UsageError("feedback.domain: without it mail leaves with the return path of its sender")
    return config
