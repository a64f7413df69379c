"""Mail to ``feedback.domain``: which addresses there take it, from whom and how often. No I/O but for the keys.

It comes from strangers: a return path is open to whoever was sent it, the fixed addresses are to everybody. That a
token is none of ours, is another's or is too old all get the same answer as an address that never was. Guesses are
counted and answered late, as failed logins are; who has guessed too often gets no further for a while, whatever the
address is: a server whose mail is good comes again.
"""

import time
from collections.abc import Callable

from common.addresses import Address
from common.codes import NO_SUCH_MAILBOX, Reply
from common.feedback import Feedback as Settings
from common.listener import Logins
from common.verp import Tokens
from smtpd_ingress.guesses import Guesses, network
from smtpd_ingress.rates import Rates
from smtpd_ingress.rejection import RefusedError

TOO_MUCH = Reply(450, "4.7.1", "Too much mail for this address, try again later")
TOO_MANY_GUESSES = Reply(450, "4.7.1", "Too many recipients that are not here, try again later")
_MINUTE, _HOUR = 60.0, 3600.0


class Feedback:
    """Who may bring what to ``feedback.domain``, in one process. ``clock`` gives seconds that never go back."""

    def __init__(
        self,
        settings: Settings,
        guesses: Logins,
        tokens: Callable[[], Tokens],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.domain = settings.domain
        self._settings, self._tokens, self._rates = settings, tokens, Rates(clock)
        self._addresses = frozenset([*settings.addresses, "postmaster"])  # RFC 5321 4.5.1
        self._guesses = Guesses(guesses, clock)

    def recipient(self, client: str, address: Address, *, trusted: bool) -> Address:
        """An address there, as mail to it is queued. Raises RefusedError."""
        name = address.local.lower()
        if not trusted and self._guesses.refused(client):
            raise RefusedError(TOO_MANY_GUESSES)
        if name in self._addresses:
            own, settings = network(client), self._settings
            limits = [(("client", own), settings.client_rate, _MINUTE), (("all", ""), settings.rate, _MINUTE)]
        elif (token := self._tokens().read(name)) and token.age(time.time()) <= self._settings.valid:
            limits = [(("token", token.delivery), self._settings.token_rate, _HOUR)]
        else:
            delay = 0.0 if trusted else self._guesses.failed(client)
            raise RefusedError(NO_SUCH_MAILBOX.but(f"<{address}>: no such mailbox here"), delay)
        if not (trusted or self._rates.in_time(limit for limit in limits if limit[1])):
            raise RefusedError(TOO_MUCH)
        return Address(name, address.domain)
