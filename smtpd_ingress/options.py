"""Options in the header, ``X-Postjet-…`` and what other products call them: fields in, Options or a refusal out."""

from collections.abc import Collection, Iterable

from common.codes import BAD_CONTENT
from common.options import NOTHING, OptionError, Options, read
from smtpd_ingress.compatible import PRODUCTS, Product
from smtpd_ingress.headers import Field
from smtpd_ingress.rejection import RefusedError

PREFIX = "x-postjet-"
_OURS = Product(prefix=PREFIX)


class HeaderOptions:
    """Knows the options in a header. They count only where there are ``pools``, the names that one may choose from;
    of ``webhooks`` there may be none.

    In ``feedback`` nothing is one: what left with our own fields comes back with them.
    """

    def __init__(
        self,
        pools: Collection[str] = (),
        products: Collection[str] = (),
        webhooks: Collection[str] = (),
        *,
        feedback: bool = False,
    ) -> None:
        self._pools, self._webhooks = pools, webhooks
        self._products = () if feedback else (_OURS, *(PRODUCTS[name] for name in products))

    def among(self, fields: Iterable[Field]) -> list[Field]:
        """Those that are options; they never leave with the message."""
        if self._products == (_OURS,):  # as a rule
            return [field for field in fields if field.name.startswith(PREFIX)]
        return [field for field in fields if any(product.has(field.name) for product in self._products)]

    def read(self, fields: Iterable[Field], now: float) -> Options:
        """What they ask for; ``X-Postjet-…`` goes over the names of other products. Raises RefusedError."""
        options = NOTHING
        for product in self._products if self._pools else ():
            options = options.over(self._read(product, [field for field in fields if product.has(field.name)], now))
        return options

    def _read(self, product: Product, fields: list[Field], now: float) -> Options:
        given: dict[str, list[str]] = {}
        last: dict[str, Field] = {}
        for field in fields:
            try:
                name, text = product.translate(field.name, field.value)
            except ValueError as error:
                raise _refused(field, error) from None
            given.setdefault(name, []).append(text)
            last[name] = field
        try:
            return read(given, now, self._pools, self._webhooks)
        except OptionError as error:
            raise _refused(last[error.name], error) from None


def _refused(field: Field, why: ValueError) -> RefusedError:
    """What the client is told: the name as it wrote it, what is wrong and the remedy."""
    name = field.raw.partition(b":")[0].decode().strip()[:64]
    return RefusedError(BAD_CONTENT.but(f"{name}: {why}"))
