"""Delivery status notifications."""

import pytest
from feedback_samples import HEAD, RETURNED, STATUS, WORDS

from dsn.parse import Kind, Recipient, parse, report
from dsn.parse.report import parse as parse_status


def test_all_recipients_and_what_identifies_the_mail() -> None:
    feedback = parse(HEAD + WORDS + STATUS + RETURNED)
    assert (feedback.kind, feedback.rule, feedback.reporting_mta) == (Kind.REPORT, "rfc3464", "mx.example")
    assert feedback.recipients == (
        Recipient(
            recipient="ann@there.example",
            action="failed",
            original_recipient="Sales@there.example",
            status="5.1.1",
            code=550,
            enhanced_code="5.1.1",
            text="550 5.1.1 Nobody here",
            diagnostic_type="smtp",
            remote_mta="mx.there.example",
            phase="rcpt",
        ),
        Recipient(recipient="ben@there.example", action="delayed", status="4.4.1", enhanced_code="4.4.1"),
    )
    assert [one.failed for one in feedback.recipients] == [True, False]
    assert feedback.fields["x-postjet-delivery"] == ("abc-1",)
    assert feedback.original.envelope_id == "order+17"
    assert feedback.original.message_ids == ("<one@shop.example>",)
    assert feedback.original.first("subject") == "Spring sale"
    assert feedback.original.first("X-Campaign") == "spring"
    assert feedback.original.header.startswith(b"Message-ID: <one@shop.example>\nFrom:")
    assert (feedback.sender, feedback.message_id) == ("MAILER-DAEMON@mx.example", "<bounce@mx.example>")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
def test_any_line_end(end: bytes) -> None:
    mail = (HEAD + WORDS + STATUS + RETURNED).replace(b"\n", end)
    assert [one.recipient for one in parse(mail).recipients] == ["ann@there.example", "ben@there.example"]


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_what_is_no_bounce(action: str) -> None:
    feedback = parse(HEAD + STATUS.replace(b"failed", action.encode()))
    assert feedback.kind == Kind.REPORT
    assert not any(one.failed for one in feedback.recipients)


def test_an_action_of_ones_own_is_told_as_it_is_and_is_a_failure() -> None:
    feedback = parse(HEAD + STATUS.replace(b"Action: failed", b"Action: Expired (late)"))
    assert feedback.recipients[0].action == "expired"
    assert feedback.recipients[0].failed


def test_what_a_diagnostic_lacks_the_words_tell() -> None:
    silent = STATUS.replace(b"Diagnostic-Code: smtp; 550 5.1.1 Nobody\n    here\n", b"").replace(b"5.1.1", b"5.0.0")
    one = parse(HEAD + WORDS + silent + RETURNED).recipients[0]
    assert (one.status, one.code, one.enhanced_code) == ("5.0.0", 550, "5.1.1")
    assert "Nobody here" in one.text


def test_what_an_alias_led_to_and_how_a_program_ended() -> None:  # as sendmail tells them
    words = WORDS.replace(
        b"\n\n", b'\n\n"|file it"\n    (reason: Bad usage)\n    (expanded from: <team@there.example>)\n\n', 1
    )
    fields = b"Original-Recipient: rfc822;team@there.example\nFinal-Recipient: RFC822; team@there.example\n"
    told = [b"X-Actual-Recipient: X-Unix; |file it\nAction: failed\nStatus: 5.3.0\nDiagnostic-Code: X-Unix; 64\n"]
    told += [b"X-Actual-Recipient: rfc822; carl@far.example\nAction: failed\nStatus: 5.1.1\n"]
    head, _, _ = STATUS.partition(b"Original-Recipient:")
    for group, type_, target in ((told[0], "x-unix", ""), (told[1], "", "carl@far.example")):
        [one] = parse(HEAD + words + head + fields + group + RETURNED).recipients
        assert one.text.startswith('"|file it" (reason: Bad usage)')
        assert (one.target, one.diagnostic_type, one.phase) == (target, type_, "")  # not what is said of ann


def test_nothing_is_explained_of_what_arrived() -> None:
    status = STATUS.replace(b"Action: delayed", b"Action: relayed")
    [_, ben] = parse(HEAD + WORDS.replace(b"\n\n", b"\n\nben@there.example\n\n", 1) + status + RETURNED).recipients
    assert (ben.action, ben.text) == ("relayed", "")


def test_international_addresses() -> None:  # RFC 6533 3 and 4
    status = (
        "Reporting-MTA: dns; mx.example\n\n"
        "Original-Recipient: utf-8; j\\x{F6}rg@b\\x{FC}cher.example\n"
        "Final-Recipient: utf-8; jörg@bücher.example\nAction: failed\nStatus: 5.1.1\n"
    ).encode()
    part = b"--x/1\nContent-Type: message/global-delivery-status\n\n" + status
    original = b"--x/1\nContent-Type: message/global-headers\n\nMessage-ID: <one@shop.example>\n\n--x/1--\n"
    feedback = parse(HEAD + part + original)
    assert feedback.recipients[0].recipient == "jörg@bücher.example"
    assert feedback.recipients[0].original_recipient == "jörg@bücher.example"
    assert feedback.original.message_ids == ("<one@shop.example>",)


@pytest.mark.parametrize("written", ["\\x{110000}", "\\x{D800}", "\\x{0A}"])
def test_what_is_no_character_stays(written: str) -> None:
    report = parse_status(f"Final-Recipient: utf-8; a{written}@there.example\nAction: failed\n")
    assert report.recipients[0].recipient == f"a{written}@there.example"


def test_an_encoded_part() -> None:
    part = STATUS.replace(b"delivery-status\n", b"delivery-status\nContent-Transfer-Encoding: quoted-printable\n", 1)
    assert parse(HEAD + part.replace(b"ann@", b"=61nn@")).recipients[0].recipient == "ann@there.example"


def test_recipients_without_an_empty_line_between_them() -> None:
    report = parse_status(
        "Reporting-MTA: dns; a\n\nFinal-Recipient: rfc822;a@b.example\nAction: failed\nStatus: 5.0.0\n"
        "Final-Recipient: rfc822;c@d.example\nAction: delayed\nStatus: 4.0.0\n"
    )
    assert [(one.recipient, one.action) for one in report.recipients] == [
        ("a@b.example", "failed"),
        ("c@d.example", "delayed"),
    ]


def test_an_empty_line_in_the_middle_of_a_recipients() -> None:
    report = parse_status("Final-Recipient: rfc822;a@b.example\nAction: failed\n\nStatus: 5.2.2\n")
    assert [(one.recipient, one.status) for one in report.recipients] == [("a@b.example", "5.2.2")]


def test_a_diagnostic_whose_lines_are_not_folded() -> None:
    report = parse_status(
        "Final-Recipient: rfc822;a@b.example\nDiagnostic-Code: smtp; 550-not\n550 here: go\n"
        "Action: failed\nStatus: 5.1.1\n"
    )
    assert report.recipients[0].text == "550-not 550 here: go"
    assert report.recipients[0].status == "5.1.1"


def test_an_address_without_a_type_and_no_final_recipient() -> None:
    report = parse_status("Original-Recipient: <a@b.example>\nAction: failed\n")
    assert (report.recipients[0].recipient, report.recipients[0].status) == ("a@b.example", "")


def test_a_boundary_that_is_another_one_than_was_named() -> None:
    mail = (HEAD + WORDS + STATUS + RETURNED).replace(b'boundary="x/1"', b'boundary="y/1"')
    assert [one.recipient for one in parse(mail).recipients] == ["ann@there.example", "ben@there.example"]


def test_a_report_without_parts() -> None:
    status = STATUS.partition(b"\n\n")[2]
    assert parse(HEAD + b"Sorry.\n\n" + status).recipients[0].recipient == "ann@there.example"


def test_a_report_that_a_gateway_passes_on() -> None:
    outer = b"From: postmaster@gate.example\nSubject: Returned mail\nContent-Type: multipart/mixed; boundary=o\n\n"
    words = b"--o\n\nThe following could not be delivered.\n--o\nContent-Type: message/rfc822\n\n"
    feedback = parse(outer + words + HEAD + WORDS + STATUS + RETURNED + b"\n--o--\n")
    assert feedback.recipients[0].recipient == "ann@there.example"
    assert feedback.original.message_ids == ("<one@shop.example>",)


def test_a_report_on_a_report_names_the_recipients_of_both() -> None:
    outer = HEAD.replace(b"x/1", b"o") + STATUS.replace(b"x/1", b"o").replace(b"ann@", b"forged@")
    feedback = parse(outer + b"--o\nContent-Type: message/rfc822\n\n" + HEAD + STATUS + RETURNED + b"\n--o--\n")
    assert [one.recipient for one in feedback.recipients][::2] == ["forged@there.example", "ann@there.example"]
    assert feedback.original.message_ids == ("<one@shop.example>",)


def test_a_report_on_a_report_need_not_look_like_one() -> None:
    outer = HEAD.replace(b"x/1", b"o").replace(b"MAILER-DAEMON@mx", b"ann@mx").replace(b"Mail Delivery System", b"Ann")
    outer = outer.replace(b"Undelivered Mail Returned to Sender", b"Hello").replace(b"<>", b"<ann@mx.example>")
    inner = HEAD + STATUS.replace(b"ann@", b"carl@") + RETURNED
    feedback = parse(outer + STATUS.replace(b"x/1", b"o") + b"--o\nContent-Type: message/rfc822\n\n" + inner)
    assert "carl@there.example" in [one.recipient for one in feedback.recipients]


def test_so_many_recipients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_RECIPIENTS", 3)
    assert len(parse_status("Final-Recipient: rfc822;a@b.example\nAction: failed\n\n" * 5).recipients) == 3


def test_a_part_that_names_nobody_is_no_report() -> None:
    mail = b"From: ann@there.example\n" + HEAD.partition(b"\n")[2].replace(b"MAILER-DAEMON@mx", b"ann@there")
    part = b"--x/1\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\n--x/1--\n"
    assert (
        parse(mail.replace(b"Mail Delivery System", b"Ann").replace(b"Undelivered Mail", b"Mail") + part).kind
        != Kind.REPORT
    )
