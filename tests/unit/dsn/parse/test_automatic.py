"""What machines answer, and people."""

import pytest

from dsn.parse import Kind, parse


def mail(
    subject: str = "Spring sale", text: str = "Hello.", *more: str, sender: str = "Ann <ann@there.example>"
) -> bytes:
    """A mail of somebody's."""
    lines = [f"From: {sender}", "To: news@shop.example", f"Subject: {subject}", *more, "", text, ""]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    "field",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated; type=x",
        "Auto-Submitted: Auto-Notified (vacation)",
        "X-Auto-Response-Suppress: All",
        "Precedence: auto_reply",
        "Precedence: junk",  # as the manual of procmail answers
        "X-Autoreply: yes",
        "X-Autorespond: Spring sale",
        "X-POST-MessageClass: 9; Autoresponder",
        "X-Mailer: vacation 1.0",
        "Delivered-To: Autoresponder",
    ],
)
def test_fields_of_auto_replies(field: str) -> None:
    feedback = parse(mail("Re: Spring sale", "Hello.", field, "In-Reply-To: <one@shop.example>"))
    assert (feedback.kind, feedback.about) == (Kind.AUTOREPLY, ("ann@there.example",))
    assert feedback.original.message_ids == ("<one@shop.example>",)


@pytest.mark.parametrize(
    "field",
    ["Auto-Submitted: no", "X-Auto-Response-Suppress: None", "Precedence: bulk", "X-Autoreply: no", "Auto-Submitted:"],
)
def test_fields_that_say_no(field: str) -> None:
    assert parse(mail("Re: Spring sale", "Hello.", field)).kind == Kind.REPLY


@pytest.mark.parametrize(
    "subject",
    [
        "Automatic reply: Spring sale",
        "Out of Office: Spring sale",
        "Automatische Antwort: Angebot",
        "=?utf-8?q?R=C3=A9ponse_automatique_=3A_offre?=",
        "=?utf-8?b?6Ieq5YqoIOWbnuWkjQ==?= =?utf-8?b?6Ieq5Yqo5Zue5aSN?=",
        "Automatyczna odpowiedź: oferta",
        "Abwesenheitsnotiz",
        "自動返信: セール",
        "Automatisk svar: tilbud",
    ],
)
def test_subjects_of_auto_replies(subject: str) -> None:
    assert parse(mail(subject)).kind == Kind.AUTOREPLY


def test_a_vacation_from_nobody_is_no_bounce() -> None:  # RFC 3834 3.3: return path <>
    text = "I am out of the office and cannot be reached. Write to ben@there.example."
    feedback = parse(mail("Away until May", text, "Return-Path: <>", "Auto-Submitted: auto-replied"))
    assert (feedback.kind, feedback.about) == (Kind.AUTOREPLY, ("ann@there.example",))


def test_an_automatic_reply_to_a_mail_on_what_failed() -> None:
    text = "Your mail could not be delivered to me, for I am at ben@there.example now."
    assert parse(mail("Automatic reply: Delivery failed", text)).kind == Kind.AUTOREPLY


@pytest.mark.parametrize("subject", ["Re: Spring sale", "Re: failure notice"])
def test_a_person_who_writes_of_a_bounce(subject: str) -> None:
    text = "My mail to ben@there.example could not be delivered. Do you know why?\n"
    assert parse(mail(subject, text)).kind == Kind.REPLY


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Please confirm your message", "Hello."),
        (
            "Re: Spring sale",
            "Your message is being held. To have it delivered please click here\nhttp://gate.example/1",
        ),
        (
            "Re: Spring sale",
            "Please follow the link below, and I will see your mail as you are on my list of approved senders."
            " To prove that you are a human, click it.",
        ),
    ],
)
def test_challenges(subject: str, text: str) -> None:
    assert parse(mail(subject, text, "Auto-Submitted: auto-replied")).kind == Kind.CHALLENGE


def test_tmda() -> None:
    assert parse(mail("Re: x", "Hello.", "X-Delivery-Agent: TMDA/1.1.12")).kind == Kind.CHALLENGE


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("unsubscribe", ""),
        ("Unsubscribe me", "Thanks"),
        ("Re: Spring sale", "Please remove me from your mailing list"),
        ("Abmelden", "x"),
        ("UNSUBSCRIBE ann@there.example", ""),
        ("", "unsubscribe"),
    ],
)
def test_unsubscribing(subject: str, text: str) -> None:
    feedback = parse(mail(subject, text))
    assert (feedback.kind, feedback.about) == (Kind.UNSUBSCRIBE, ("ann@there.example",))


@pytest.mark.parametrize(
    ("subject", "text"), [("Re: Unsubscribe?", "I am away."), ("Re: News", "Unsubscribe\n\nI am away.")]
)
def test_what_a_machine_answers_is_nobodys_wish(subject: str, text: str) -> None:
    assert parse(mail(subject, text)).kind == Kind.UNSUBSCRIBE
    assert parse(mail(subject, text, "Auto-Submitted: auto-replied")).kind == Kind.AUTOREPLY


def test_apple_mail_unsubscribes_with_a_field() -> None:
    feedback = parse(mail("a", "b", "Auto-Submitted: auto-replied", "X-Apple-Unsubscribe: true"))
    assert (feedback.kind, feedback.rule) == (Kind.UNSUBSCRIBE, "apple-mail")


def test_a_receipt() -> None:
    type_ = b"multipart/report; report-type=disposition-notification; boundary=b"
    head = b"From: Ann <ann@there.example>\nContent-Type: " + type_ + b"\n\n"
    part = (
        b"--b\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822;ann@there.example\n"
        b"Original-Message-ID: <one@shop.example>\nDisposition: manual-action/MDN-sent-manually; displayed\n\n--b--\n"
    )
    feedback = parse(head + b"--b\n\nYour message was displayed.\n" + part)
    assert (feedback.kind, feedback.about) == (Kind.RECEIPT, ("ann@there.example",))
    assert feedback.original.message_ids == ("<one@shop.example>",)


def test_a_reply() -> None:
    feedback = parse(
        mail(
            "Re: Spring sale",
            "I want one.",
            "In-Reply-To: <two@shop.example>",
            "References: <one@shop.example>\r\n <two@shop.example>",
        )
    )
    assert (feedback.kind, feedback.sender, feedback.subject) == (Kind.REPLY, "ann@there.example", "Re: Spring sale")
    assert feedback.original.message_ids == ("<two@shop.example>", "<one@shop.example>")


def test_a_mail_that_answers_nothing() -> None:
    assert parse(mail()).kind == Kind.OTHER
