"""What a login sets of a mail's options (``User.options``) where the mail itself does not."""

from collections.abc import Iterable, Mapping

from smtpd_ingress.headers import Field
from smtpd_ingress.options import DELAY, PREFIX, SCHEDULE

#: Names of one option: where the mail has one of them, the login sets neither.
_SAME = {DELAY: SCHEDULE, SCHEDULE: DELAY}


def default_fields(options: Mapping[str, Iterable[str]], given: Iterable[Field]) -> list[Field]:
    """The fields that a login's options (name without ``X-Postjet-`` to values) add to those of a mail.

    Together they are what ``read_options`` takes, so a default is read as the header field would be. A parameter
    of MAIL goes before both; it is the dialogue's to lay it over.
    """
    there = {field.name for field in given}
    return [
        Field(PREFIX + name, f"X-Postjet-{name}: {value}\r\n".encode())
        for name, values in options.items()
        if PREFIX + name not in there and _SAME.get(PREFIX + name) not in there
        for value in values
    ]
