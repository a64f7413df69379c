"""The users as one process knows them: all of them in memory, a change known within a second."""

from collections.abc import Callable, Iterable

from common.broker import Broker
from common.users import store
from common.users.credentials import Verifier, no_verifier
from common.users.user import User
from common.waits import keep_looking

#: Seconds between two looks.
EVERY = 0.5


class Users:
    """Who may log in. ``start`` reads them, ``watch`` keeps them up to date."""

    def __init__(self, users: Iterable[User] = (), secret: bytes = b"") -> None:
        """``secret`` is what answers about unknown users are made of."""
        self._users = {user.name: user for user in users}
        self._subjects: dict[str, str] = {}
        self._sequence = 0
        self._secret = secret
        self.on_change: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._users)

    def get(self, name: str) -> User | None:
        """The user of a name, as SASLprep makes it; None where there is none (any more)."""
        return self._users.get(name)

    def verifier(self, name: str) -> Verifier:
        """What SCRAM goes on with, for an unknown user too; it takes as long."""
        stand_in = no_verifier(name, self._secret)
        user = self.get(name)
        return user.verifier if user else Verifier.unpack(stand_in.pack())

    async def start(self, broker: Broker) -> None:
        """Read all of them. Raises BrokerFailure."""
        self._secret = await store.secret(broker)
        await self.look(broker)

    async def watch(self, broker: Broker, every: float = EVERY) -> None:
        """Look again and again, for ever; a broker that does not answer is asked again."""
        await keep_looking(lambda: self.look(broker), every, "users")

    async def look(self, broker: Broker) -> bool:
        """Take over what changed; whether something did. Raises BrokerFailure."""
        last = await store.last_sequence(broker)
        if last == self._sequence:
            return False
        anew = last < self._sequence  # another store, put back from a copy
        found = await store.entries(broker, 0 if anew else self._sequence)
        if anew:
            self._users, self._subjects, self._secret = {}, {}, await store.secret(broker)
        for stored in found:
            user = store.read(stored)
            if user:
                self._users[user.name] = user
                self._subjects[stored.subject] = user.name
            else:
                self._users.pop(self._subjects.pop(stored.subject, ""), None)
        self._sequence = max([last, *(stored.sequence for stored in found)])
        self.on_change()
        return True
