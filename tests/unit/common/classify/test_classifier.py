"""What decides, and what the type is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.classify.classes import BY_NAME
from common.classify.classifier import MAX_CACHE, Classifier
from common.classify.reading import classifier, classify, shipped
from common.classify.rule import ClassRule
from common.policies.reading import Layer, Written


def rule(name: str, layer: Layer = Layer.OPERATOR, **values: object) -> Written[ClassRule]:
    return Written(ClassRule.model_validate({"name": name, "class": "policy", **values}), layer, f"{name}:1")


def of(*rules: Written[ClassRule]) -> Classifier:
    return Classifier(rules, {"who": "(?:ann|bob)"}, ("ignore this",))


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "expected"),
    [
        (550, "5.1.1", "User unknown", ("invalid-recipient", "hard", True)),
        (450, "4.1.1", "User unknown", ("invalid-recipient", "soft", False)),  # the server says to come back
        (550, "5.7.1", "Client host [192.0.2.1] blocked using zen.spamhaus.org", ("blocklist", "soft", True)),
        (550, "5.2.1", "Mailbox suspended", ("inactive-mailbox", "soft", True)),  # it may come back
        (550, "5.2.1", "Mailbox disabled", ("inactive-mailbox", "soft", True)),
        (550, "5.2.1", "Mailbox deleted", ("inactive-mailbox", "hard", True)),
        (521, "5.3.2", "System not accepting network messages", ("bad-domain", "hard", True)),
        (0, "5.1.1", "Boo", ("invalid-recipient", "hard", True)),  # a report with nothing but its status
        (0, "4.2.2", "", ("mailbox-full", "soft", False)),
        (0, "", "User unknown", ("invalid-recipient", "soft", True)),  # whose words are they, of which mailbox?
        (0, "4.0.0", "MX lookup of gmal.example: NXDOMAIN, domain name not found", ("bad-domain", "hard", True)),
        (0, "4.4.4", "MX lookup of gmal.example: NXDOMAIN, domain name not found", ("bad-domain", "soft", False)),
        (0, "4.0.0", "Mailbox full", ("mailbox-full", "soft", False)),
        (0, "", "Mailbox full", ("mailbox-full", "soft", True)),
        (550, "", "Boo", ("unclassified", "soft", True)),
        (550, "5.0.0", "", ("unclassified", "soft", True)),
    ],
)
def test_class_type_and_permanence(code: int, enhanced: str, text: str, expected: tuple[str, str, bool]) -> None:
    verdict = classify(code, enhanced, text)
    assert (verdict.bounce_class, verdict.bounce_type, verdict.permanent) == expected


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "phase", "expected"),
    [
        (550, "", "No such user", "rcpt", "hard"),
        (550, "5.7.1", "User unknown", "rcpt", "hard"),
        (550, "", "No such user", "dot", "soft"),  # after it was accepted: a filter
        (550, "5.2.1", "User unknown", "dot", "soft"),
        (550, "5.1.1", "User unknown", "dot", "hard"),
        (550, "5.1.10", "Recipient not found", "dot", "hard"),
        (550, "5.1.8", "User unknown", "dot", "soft"),  # X.1.8 is about the sender
        (553, "", "Hm", "dot", "soft"),
        (553, "", "Hm", "rcpt", "soft"),  # RFC 5321 4.2.3 has it for a name, others for all they refuse
        (550, "", "The mailbox was closed", "dot", "soft"),
        (550, "5.2.1", "The mailbox was closed", "dot", "hard"),
        (550, "", "The user has moved", "dot", "soft"),
        (550, "5.7.17", "Hm", "dot", "hard"),
        (550, "", "Domain does not exist", "rcpt", "hard"),
        (550, "", "Domain does not exist", "dot", "soft"),  # of the sender or a link: the recipient's was accepted
        (550, "5.1.2", "Domain does not exist", "dot", "hard"),
        (550, "", "Domain does not exist", "", "hard"),
        (450, "", "No such user", "rcpt", "soft"),
        (550, "5.4.1", "Recipient address rejected: Access denied", "dot", "hard"),  # a rule that says so
    ],
)
def test_a_mailbox_is_not_there_for_who_was_asked_for_it(
    code: int, enhanced: str, text: str, phase: str, expected: str
) -> None:
    assert classify(code, enhanced, text, phase).bounce_type == expected
    assert classify(code, enhanced, text, reported=phase).bounce_type == expected


def test_a_report_that_says_when() -> None:
    assert classify(0, "", "host mx said: 550 No such user (in reply to RCPT TO command)").bounce_type == "hard"
    assert classify(0, "", "host mx said: 550 No such user (in reply to end of DATA command)").bounce_type == "soft"
    assert classify(0, "", "host mx said: 550 No such user").bounce_type == "soft"


@pytest.mark.parametrize(
    "text",
    [
        "550 Requested action not taken: mailbox unavailable. Reject due to policy restrictions",
        "554-gmx.net (mxgmx101) Nemesis ESMTP Service not available 554-No SMTP service 554 IP address is black listed",
        "554 Transaction failed: bad DNS address",
        "550 Invalid IP address",
        "550 5.7.1 Unknown host address, no PTR",
        "550 No such domain example.net (in reply to MAIL FROM command)",
        "550 5.1.8 Sender domain does not exist",
        "450 4.1.1 User unknown in the database that is away",
        "550 5.7.1 Your account may not send to unknown users",
        "554 Email address is not verified. These identities failed the check: news@example.net",
        "550 Your host name does not exist in DNS",
        "553 The From: address ann@example.net is not valid",
        "550 a reply that is suspended, disabled and inactive",
    ],
)
def test_nothing_is_hard_that_is_not_about_the_address(text: str) -> None:
    assert classify(0, "", text).bounce_type == "soft"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("550 RecipientNotFound", "invalid-recipient"),
        ("550 DmarcRejection", "authentication"),
        ("550 See SpamHaus", "blocklist"),  # and no spam
        ("550 The account isn't active", "inactive-mailbox"),
        ("550 Cannot find the user", "invalid-recipient"),
        # whom to ask is no part of the cause
        ("550 5.1.1 User unknown. Please ask the sender to write to another address", "invalid-recipient"),
        ("The address couldn't be found. Check it for typos and try again", "invalid-recipient"),
        # a policy that is said, then what the number says, then that it was refused at all
        ("550 5.1.1 Not delivered: policy violation", "policy"),
        ("550 5.1.1 Rejected", "invalid-recipient"),
        ("550 Rejected", "policy"),
        ("550 Oh dear", "unclassified"),
        # why the last try failed, rather than that it was the last
        ("Unable to contact LDAP server. I'm not going to try again; too long in the queue", "system-trouble"),
        # who reports is a host too
        ("SMTP error from remote mail server after RCPT TO:<ann@example.org>: unknown user", "invalid-recipient"),
        ("535 5.7.8 User not found", "policy"),
    ],
)
def test_which_words_count(text: str, expected: str) -> None:
    assert classify(0, "", text).bounce_class == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smtp; 550 5.1.1 <ann@example.org>: Recipient address rejected: User unknown", "invalid-recipient"),
        ("host mx.example.org[192.0.2.1] said: 452 4.2.2 Over quota (in reply to RCPT TO command)", "mailbox-full"),
        # not the words of the host that reports, nor what only follows from the refusal
        ("host unknown.example[192.0.2.1] said: 554 5.7.1 Spam detected (in reply to end of DATA command)", "content"),
        ("550 5.1.1 No such user 554 5.5.1 Error: no valid recipients", "invalid-recipient"),
        ("450 Busy 551 User has moved 503 Need RCPT", "moved"),
        # the words go on behind the codes of the lines
        ("550-5.1.1 The email account that you tried to reach 550 5.1.1 does not exist.", "invalid-recipient"),
        ("550 Access denied (in reply to MAIL FROM command)", "bad-sender"),
        # what stands around the words that were said says less
        ("Your mail to blacklist-users failed. The server said: 552 5.2.2 Quota exceeded", "mailbox-full"),
        ("B\u00c3\u00b6se: Empf\u00c3\u00a4nger unbekannt", "invalid-recipient"),  # UTF-8 read as Latin-1
    ],
)
def test_what_reports_quote(text: str, expected: str) -> None:
    assert classify(0, "", text).bounce_class == expected


def test_the_first_rule_that_matches_decides_and_the_operators_come_first() -> None:
    two = rule("two", Layer.SHIPPED, text="busy", **{"class": "network"})
    assert of(rule("one", Layer.SHIPPED, text="bus"), two).classify(450, "", "Busy").rule == "one"
    verdict = of(two, rule("mine", text="busy", type="hard")).classify(550, "", "Busy")
    assert verdict[:4] == ("policy", "hard", "mine", "mine:1")


def test_a_rule_without_text_decides_before_later_ones_with_text() -> None:
    found = of(rule("code", code="45x"), rule("text", text="busy"))
    assert [found.classify(code, "", "busy").rule for code in (450, 550)] == ["code", "text"]


def test_all_that_a_rule_asks_must_hold() -> None:
    one = rule("r", code="5xx", enhanced=["x.7.1", "5.1.*"], phase=["rcpt", "dot"], provider="p", text=["a{who}", "c"],
               not_text="not")  # fmt: skip
    asked = of(one)

    def matches(code: int = 550, enhanced: str = "5.7.1", text: str = "C", phase: str = "dot", by: str = "p") -> bool:
        return asked.classify(code, enhanced, text, phase, by).rule == "r"

    assert matches()
    assert matches(enhanced="5.1.999", text="aBob", phase="rcpt")
    others = [{"code": 450}, {"enhanced": "5.7.2"}, {"text": "x"}, {"text": "c not"}, {"phase": "mail"}, {"by": ""}]
    assert [other for other in others if matches(**other)] == []  # type: ignore[arg-type]


def test_one_of_the_same_name_replaces_and_none_switches_off() -> None:
    under = rule("a", Layer.SHIPPED, text="busy", **{"class": "network"})
    assert of(under, rule("a", text="full")).classify(550, "", "busy").rule == ""
    assert of(under, rule("a", **{"class": "none"})).classify(550, "", "busy").rule == ""


def test_what_is_ignored() -> None:
    found = of(rule("a", text="spam"), rule("b", text="ignore"))
    assert found.classify(550, "", "spam: ignore this").rule == "a"
    assert found.classify(550, "", "ignore this").rule == ""


def test_verdicts_are_kept_by_the_words_alone() -> None:
    found = of(rule("a", text="unknown"))
    for i in range(100):
        found.classify(550, "5.1.1", f"<user{i}@example.org> unknown {i:012x}-{i} at 12:00:{i % 60:02}", "rcpt")
    assert len(found._cache) == 1
    for i in range(MAX_CACHE + 5):
        found.classify(i, "", "unknown", "rcpt")
    assert len(found._cache) < MAX_CACHE


@given(st.integers(0, 999), st.text(max_size=12), st.text(max_size=3000), st.sampled_from(["", "rcpt"]), st.text())
def test_never_raises(code: int, enhanced: str, text: str, phase: str, provider: str) -> None:
    verdict = classify(code, enhanced, text, phase, provider)
    assert verdict.bounce_class in BY_NAME


PARTS = ["550 ", "5.1.1 ", "550-5.7.1 ", "user ", "@", "a@b.c ", "not ", ": ", "spam ", "[", "1.2.3.4 "]


@given(st.lists(st.sampled_from(PARTS)))
def test_never_raises_on_what_looks_like_replies(parts: list[str]) -> None:
    assert classify(0, "", "".join(parts)).bounce_class in BY_NAME


def test_the_shipped_rules_are_loaded_once() -> None:
    assert classifier() is classifier(())
    assert len(classifier().rules) == len(shipped())


@pytest.mark.parametrize(
    ("text", "permanent"),
    [
        ("451 4.4.1 Connection timed out", False),
        ("4.4.1 I'm not going to try again; the message was too long in the queue", True),
        ("Delivery failed permanently: quota exceeded", True),
        ("451 4.4.1 Refused. Message could not be delivered for 5 days and will be deleted from queue", True),
        ("4.4.7 Delivery time expired", True),
        ("4.4.7 Not delivered for a day, attempts will continue", False),
        ("Message will be retried for 2 days: 550 5.1.1 User unknown", False),
        ("Mailbox full", True),  # no server says so without a code: somebody reports it, and that it was the end
        ("connect to mx.example.org[192.0.2.1]:25: Connection timed out", False),
        ("User unknown", True),
    ],
)
def test_what_a_report_says_of_itself(text: str, permanent: bool) -> None:
    assert classify(0, "", text).permanent is permanent


def test_in_session_the_code_decides_alone() -> None:
    assert not classify(451, "4.4.1", "I will give up: not going to try again", "rcpt").permanent
