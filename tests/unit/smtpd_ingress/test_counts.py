from smtpd_ingress.counts import Counts


def test_nothing_was_said() -> None:
    assert str(Counts()) == "commands=0"


def test_as_postfix_writes_them() -> None:
    counts = Counts()
    for verb in ("EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"):
        counts.begin(verb)
    assert str(counts) == "ehlo=1 mail=1 rcpt=2 data=1 quit=1 commands=6"


def test_refused_ones_are_taken_off() -> None:
    counts = Counts()
    counts.fail()  # the connection itself
    for verb, refused in (("EHLO", False), ("RCPT", True), ("RCPT", False), ("unknown", True)):
        counts.begin(verb)
        if refused:
            counts.fail()
            counts.fail()  # one command, one refusal
    assert str(counts) == "ehlo=1 rcpt=1/2 unknown=0/1 commands=2/4"
