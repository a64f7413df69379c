"""Why a submission was not accepted, as the client is told."""

from typing import Self

from common.codes import NO_ROOM


class SubmitError(Exception):
    """Not accepted: ``code`` (RFC 5321), ``enhanced`` (RFC 3463), ``text``."""

    def __init__(self, code: int, enhanced: str, text: str) -> None:
        super().__init__(f"{code} {enhanced} {text}")
        self.code, self.enhanced, self.text = code, enhanced, text

    @classmethod
    def full(cls) -> Self:
        """No room in the queue."""
        return cls(NO_ROOM.code, NO_ROOM.enhanced, NO_ROOM.text)

    @classmethod
    def unavailable(cls) -> Self:
        """The queue does not answer; nothing was stored."""
        return cls(451, "4.3.0", "Queue not available, try again later")

    @classmethod
    def unknown(cls) -> Self:
        """The queue did not confirm in time; what may be there is removed."""
        return cls(451, "4.3.0", "Queue did not confirm, try again later")
