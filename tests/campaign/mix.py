"""The mail of a round: most of it small and to one recipient, some shared by several, some large."""

import base64
import random

from common.content import INLINE_LIMIT
from master.demo.generator import Mail, make_message
from master.demo.sink_script import Rule
from master.demo.world import World

SENDER = "news@sender.test"
DOMAINS = [f"domain{number}.test" for number in range(10)]
#: Parts of the mail that go to several recipients, and that are above INLINE_LIMIT when compressed.
SHARED, LARGE = 0.1, 0.02


def make_mails(chance: random.Random, count: int) -> list[Mail]:
    """So many mails, each with a Message-ID of its own."""
    return [_mail(chance) for _ in range(count)]


def prepare(world: World, mails: int) -> None:
    """Three sites of two hosts each; a part of the mail is told to come again."""
    for number, domain in enumerate(DOMAINS):
        world.add_domain(domain, world.sinks[number % 3], world.sinks[(number + 1) % 3])
    for sink in world.sinks:
        sink.rules.append(Rule(phase="rcpt", recipient=DOMAINS[0], reply="450 4.2.0 Later", times=mails // 30))
        sink.rules.append(Rule(phase="taken", wait=0.01))  # who is killed here does not learn that it was taken


def _mail(chance: random.Random) -> Mail:
    domains = chance.sample(DOMAINS, chance.randint(2, 4) if chance.random() < SHARED else 1)
    recipients = [f"r{chance.randrange(1000)}@{domain}" for domain in domains]
    if len(recipients) > 1:
        recipients.append(f"second@{domains[0]}")
    content = make_message(chance.randint(800, 8000), sender=SENDER, recipient=recipients[0])
    if chance.random() < LARGE:
        noise = chance.randbytes(int(INLINE_LIMIT * chance.uniform(1.1, 2)))
        content += base64.encodebytes(noise).replace(b"\n", b"\r\n")
    return SENDER, recipients, content
