"""Which endpoints want an event. No I/O."""

from collections.abc import Iterable, Mapping
from typing import Any

from common.event import Type
from common.webhook import Webhook

#: Of what has to do with a mail that was taken: what an endpoint gets that names no types.
OF_MAIL = frozenset(Type) - {Type.REJECTED, Type.ADMIN}

#: An event as a map of column to value; columns that have their default may be left out.
Row = Mapping[str, Any]


def types(endpoints: Iterable[Webhook]) -> frozenset[str]:
    """The types that one of them wants."""
    return frozenset(type_ for endpoint in endpoints for type_ in endpoint.types or OF_MAIL)


def wants(endpoint: Webhook, row: Row) -> bool:
    """Whether an endpoint is to be told: of the type, and named by the mail or chosen by all that is given."""
    if row["type"] not in (endpoint.types or OF_MAIL):
        return False
    if row.get("webhook") == endpoint.name:
        return True
    return not endpoint.only_named and (
        _is_in(endpoint.pool, [row.get("pool")])
        and _is_in(endpoint.campaign, [row.get("campaign")])
        and _is_in(endpoint.tag, row.get("tags", ()))
        and _is_in(endpoint.sender, _senders(row))
        and _is_in(endpoint.domain, _domains(row))
    )


def _is_in(wanted: tuple[str, ...], there: Iterable[str | None]) -> bool:
    return not wanted or any(one in wanted for one in there)


def _senders(row: Row) -> list[str]:
    sender = row.get("sender", "").lower()
    return [sender, f"@{sender.rpartition('@')[2]}"]


def _domains(row: Row) -> list[str]:
    """The recipient's; an ``accepted`` event has all recipients."""
    return [row.get("domain", "").lower(), *(to.rpartition("@")[2].lower() for to in row.get("recipients", ()))]
