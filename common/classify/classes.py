"""The classes there are; ``python -m common.classify.classes`` writes docs/bounce-classes.md."""

from typing import Literal, NamedTuple

Type = Literal["hard", "soft"]
UNCLASSIFIED = "unclassified"


class BounceClass(NamedTuple):
    """One class, and what there is to say about it."""

    name: str
    type: Type
    """``hard`` only where the words say that no mail will ever arrive at this address."""
    final: bool
    """Whether a report that gives no code at all means a failure for good."""
    meaning: str
    remedy: str


CLASSES = (
    BounceClass("invalid-recipient", "hard", True, "There is no such mailbox.", "Remove the address."),
    BounceClass(
        "inactive-mailbox", "hard", True, "The mailbox is there, but disabled, or was closed or abandoned.",
        "Remove the address. Where the words say disabled, suspended or frozen the type is soft: it may come back.",
    ),
    BounceClass(
        "bad-domain", "hard", True, "No such domain, no host that takes its mail, or it says that it takes none.",
        "Remove the address; look for a typing error in its domain.",
    ),
    BounceClass("moved", "hard", True, "The person has another address now, or is gone.",
                "Remove the address; the reply may name the new one."),
    BounceClass("mailbox-full", "soft", True, "The mailbox has no room.",
                "Send less to it; where that stays so nobody reads it."),
    BounceClass("dns-failure", "soft", False, "DNS gave no answer about the domain.",
                "Wait. If it is many domains, look at your own nameservers ([dns] nameservers)."),
    BounceClass("no-answer", "soft", False, "No host of the domain let us connect: refused, or silent.",
                "Wait. If it is many domains, look at port 25 outwards and at the source address."),
    BounceClass("network", "soft", False, "The connection broke, or nothing more came, in the middle of it.",
                "Wait. If it is one receiver and large mail, look at MTU and timeouts."),
    BounceClass("expired", "soft", True, "It was tried for as long as it may be.",
                "See the deferrals before it: postjet trace ID."),
    BounceClass("rate-limited", "soft", False, "Too much at a time: mails, connections, recipients.",
                "Send slower: a policy for the receiver (how-to/policies.md)."),
    BounceClass("greylisted", "soft", False, "Strangers have to come back later.", "Nothing: a later try gets in."),
    BounceClass("system-trouble", "soft", False, "The receiver's own trouble: disk, software, overload, maintenance.",
                "Wait; where it stays so, tell their postmaster."),
    BounceClass("blocklist", "soft", True, "The address we send from, or its network, is on a list or blocked.",
                "Ask for removal where the reply says, and stop what caused it. The recipient is all right."),
    BounceClass("reputation", "soft", True, "The address or domain we send from has a bad name there.",
                "Send less, and only to people who want it; look at complaints and at invalid addresses."),
    BounceClass("authentication", "soft", True, "SPF, DKIM, DMARC, reverse DNS or the name in EHLO did not convince.",
                "Put right the record that is named: postjet dkim check DOMAIN, PTR of the source address."),
    BounceClass("content", "soft", True, "The message looks like spam, or has something in it that is not let in.",
                "Look at the text, its links and attachments."),
    BounceClass("virus", "soft", True, "A virus or other malware was found.", "Look where the message came from."),
    BounceClass("policy", "soft", True, "A rule of the receiver's, not of the kinds above; or a login was wanted.",
                "Read the reply; ask their postmaster. Of a smarthost: look at username and password."),
    BounceClass("relaying", "soft", True, "That host does not take mail for this domain, or not from us.",
                "The domain's MX may be wrong, or the smarthost does not know us."),
    BounceClass("bad-sender", "soft", True, "The sender's address is not accepted: unknown, blocked, no member.",
                "Look whether the return path exists and may write there."),
    BounceClass("message-too-large", "soft", True, "The message is larger than they take.", "Send a link instead."),
    BounceClass("routing", "soft", True, "The way leads in a circle or nowhere.",
                "An error in somebody's DNS or forwarding; ask their postmaster."),
    BounceClass("protocol", "soft", True, "A command or the message's form was not understood.",
                "Look at the message's header; else report it to us."),
    BounceClass("tls", "soft", True, "Encryption is wanted and did not come about.",
                "Look at their certificate and at the policy's tls."),
    BounceClass("unsupported", "soft", True, "The message needs what the server has not: 8BITMIME, SMTPUTF8 …",
                "Send it in ASCII, or to another address."),
    BounceClass("challenge", "soft", True, "A machine asks the sender to prove to be a person.",
                "Answer it by hand, or leave the address out."),
    BounceClass("local", "soft", False, "Our own side: no source address, an unreadable key, no room.",
                "The text names it; postjet check."),
    BounceClass("stopped", "soft", True, "It was ended here: by postjet stop, or because its recipient is suppressed.",
                "See the text; postjet suppression check ADDRESS."),
    BounceClass(UNCLASSIFIED, "soft", True, "No rule knows these words.",
                "postjet classify --unknown lists them; write a rule, and send us the words."),
)  # fmt: skip

BY_NAME = {one.name: one for one in CLASSES}


def reference() -> str:
    """The reference page."""
    lines = [
        "# Bounce classes",
        "",
        "Generated by `make docs`; do not edit. Every event of a delivery that failed, was put off or stopped has a",
        "`bounce_class` and a `bounce_type`, by the rules of `conf/classes.toml` and your own over them:",
        "[how-to/bounces.md](how-to/bounces.md).",
        "",
        "**hard** says that no mail will ever arrive at this address: unknown user or host, moved, inactive.",
        "Everything else is **soft**: another mail, or this one later or from elsewhere, may arrive. A 4xx is",
        "always soft, for the server itself says to come back. Whether a delivery is tried again is another",
        "matter: that is up to the reply code (RFC 5321 4.2.1) and to reply rules. So a 550 for a block list",
        "ends the delivery and is soft.",
        "",
        "Words that a mailbox is unknown, closed or moved are hard as the answer to RCPT, or with an enhanced code",
        "that says it too (5.1.1 …). Elsewhere they are soft: at the end of the message they are often a filter's, and",
        "a report may be about another address, to which somebody forwards ([why](decisions/011-hearsay.md)). Who",
        "bounces so again and again is suppressed all the same. That a domain is not there is soft as the answer to",
        "EHLO, MAIL or the end of the message, where it is the sender's or a link's. A code alone (521, 551, 553, 556)",
        "is never hard: words or an enhanced code have to say so.",
        "",
        "| class | type | meaning | what to do |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{one.name}` | {one.type} | {one.meaning} | {one.remedy} |" for one in CLASSES]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
