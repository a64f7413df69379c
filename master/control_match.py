"""What a person wrote about which mail is meant: checked, and brought into the form that entries have."""

from common import ids
from common.addresses import normal_domain
from common.config import Config
from common.controls.control import Match, kept_value
from common.errors import UsageError


def make_match(
    config: Config, id_: str, campaign: str, tag: str, sender: str, domain: str, pool: str, header: str
) -> Match:
    """Raises UsageError."""
    match = Match(
        id=_id(id_),
        campaign=campaign,
        tag=tag,
        sender=_sender(sender),
        domain=_domain(domain, "--domain") if domain else "",
        pool=_pool(config, pool),
        header=_header(config, header),
    )
    if not match:
        raise UsageError(
            "say which mail: --campaign, --tag, --id, --sender, --domain, --pool or --header; "
            "'--pool default' is everything in that pool"
        )
    return match


def _id(text: str) -> str:
    if text and not (ids.SUBMISSION.fullmatch(text) or ids.DELIVERY.fullmatch(text)):
        raise UsageError(f"--id {text}: no id; they look like 01k80104jjg883qldg58 or 01k80104jjg883qldg58-1")
    return text


def _sender(text: str) -> str:
    if not text:
        return ""
    local, at, domain = text.rpartition("@")
    if not at:
        raise UsageError(f"--sender {text}: write an address, or @{text} for a whole domain")
    return f"{local.lower()}@{_domain(domain, '--sender')}"


def _domain(text: str, option: str) -> str:
    try:
        return normal_domain(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from None


def _pool(config: Config, name: str) -> str:
    if name and name not in config.pools:
        raise UsageError(f"--pool {name}: no pool of the configuration; there are {', '.join(config.pools)}")
    return name


def _header(config: Config, text: str) -> str:
    if not text:
        return ""
    name, equals, value = text.partition("=")
    name, value = name.strip().lower(), kept_value(value)
    if not (name and equals and value):
        raise UsageError(f"--header {text}: write NAME=VALUE, such as List-ID='<news.example.org>'")
    if name not in config.controls.headers:
        kept = ", ".join(config.controls.headers)
        raise UsageError(
            f"--header {name}: not kept in the queue; there are {kept}; for mail to come add it to [controls] headers"
        )
    return f"{name}: {value}"
