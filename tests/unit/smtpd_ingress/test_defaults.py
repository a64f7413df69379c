"""A login's options count where the mail's header sets nothing."""

from smtpd_ingress.defaults import default_fields
from smtpd_ingress.headers import Field
from smtpd_ingress.options import Options, read_options

LOGIN = {"priority": ("7",), "tag": ("a", "b"), "delay": ("60",), "meta-customer": ("4711",), "meta-plan": ("free",)}


def read(*lines: str) -> Options:
    given = [Field(line.partition(":")[0].lower(), f"{line}\r\n".encode()) for line in lines]
    return read_options([*given, *default_fields(LOGIN, given)], 0.0, ("default",))


def test_a_mail_that_sets_nothing() -> None:
    meta = {"customer": "4711", "plan": "free"}
    assert read() == Options(priority=7, tags=("a", "b"), delay=60, meta=meta)


def test_the_header_goes_first() -> None:
    options = read("X-Postjet-Priority: 2", "X-Postjet-Tag: c", "X-Postjet-Meta-Plan: paid")
    assert (options.priority, options.tags, options.meta) == (2, ("c",), {"plan": "paid", "customer": "4711"})


def test_a_time_in_the_header_takes_the_place_of_a_delay() -> None:
    assert read("X-Postjet-Schedule: 1000").schedule == 1000
    assert read("X-Postjet-Schedule: 1000").delay == 0
