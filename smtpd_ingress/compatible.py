"""Header fields by which other products take options, for those who come from them: their names and ours.

What is known of them is in the vendors' manuals: PowerMTA's ``process-x-virtual-mta``, ``process-x-job`` and
``process-x-envid``, MailerQ's special MIME headers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The fields of one product, and what they are here."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """Name, lower case, to the name of an option (``common.options``)."""
    prefix: str = ""
    """All fields that begin with it are the product's; what is in no list here is the option without the prefix."""
    times: frozenset[str] = frozenset()
    """Fields whose values are times in UTC without saying so."""
    unserved: frozenset[str] = frozenset()
    """Fields that change what happens to a mail and mean nothing here: refused."""
    rest: str = ""
    """What stands before the names of other fields with the prefix, such as ``meta-``."""

    def has(self, name: str) -> bool:
        """Whether a field, by its lower-case name, is the product's."""
        return name in self.fields or bool(self.prefix and name.startswith(self.prefix))

    def translate(self, name: str, text: str) -> tuple[str, str]:
        """A field of the product as our option: its name and its value. Raises ValueError."""
        if name in self.unserved:
            raise ValueError("not served here; remove the field")
        if name in self.times and text[-1:].isdigit():
            text = f"{text}Z"  # MailerQ's times, 2027-01-31 08:00:00, are UTC
        return self.fields.get(name) or self.rest + name.removeprefix(self.prefix), text


def _mailerq(*names: str) -> frozenset[str]:
    return frozenset(f"x-mq-{name}" for name in names)


#: By the names that ``[[listeners]] compatible`` takes.
PRODUCTS = MappingProxyType(
    {
        "powermta": Product(fields={"x-virtual-mta": "pool", "x-job": "tag", "x-envid": "envid"}),
        "mailerq": Product(
            prefix="x-mq-",
            fields={
                "x-mq-pool": "pool",
                "x-mq-tag": "tag",
                "x-mq-tags": "tag",
                "x-mq-delayed": "schedule",
                "x-mq-maxdelivertime": "expire",
                "x-mq-dsn-notify": "notify",
                "x-mq-dsn-ret": "ret",
                "x-mq-dsn-envid": "envid",
            },
            times=_mailerq("delayed", "maxdelivertime"),
            unserved=_mailerq(
                "envelope", "ip", "ips", "maxattempts", "retries", "inlinecss", "keepmime", "force", "dsn-orcpt",
                "results-queue", "failure-queue", "success-queue", "retry-queue",
                "smarthost-hostname", "smarthost-port", "smarthost-username", "smarthost-password",
            ),
            rest="meta-",  # fields of one's own come back in its results, as meta does in ours
        ),
    }
)
