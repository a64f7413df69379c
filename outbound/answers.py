"""What a worker says when it is asked: what waits in it and for what, and how much of its limits is used."""

import contextlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

import structlog
from nats.aio.msg import Msg

from common.broker import Broker, BrokerFailure
from common.limits.owner import Owner
from common.workers import MAX_TEXT, SUBJECT, Question, SiteNow, Waiting
from outbound.park import Park
from outbound.site import Site
from outbound.sites import Sites

log = structlog.get_logger()

#: Bytes of an answer, and domains that are named of one line.
MAX_ANSWER, MAX_DOMAINS = 400_000, 1000


class Answers:
    """Answers for one worker. ``owner`` names it among the workers of all pools."""

    def __init__(self, broker: Broker, pool: str, park: Park, sites: Sites, owner: Owner) -> None:
        self._broker, self._pool, self._park, self._sites, self._owner = broker, pool, park, sites, owner

    async def start(self) -> None:
        """Answer from now on. Raises BrokerFailure."""
        await self._broker.subscribe(SUBJECT, self._on_question)

    def answer(self, question: Question) -> dict[str, Any]:
        """What ``common.workers.Said`` takes."""
        wanted = question.domain
        waiting = [line for line in self._park.holding() if not wanted or wanted in line.domains]
        waiting.sort(key=lambda line: line.parked, reverse=True)
        rows = [asdict(_shortened(line, wanted)) for line in waiting]
        lines = _bounded(rows, MAX_ANSWER)
        sites = [site for site in self._sites if site.key == question.site or (not question.site and site.down)]
        uses = [(number, *use) for number, limit in enumerate(question.limits) if (use := self._owner.use(limit))]
        return {
            "pool": self._pool,
            "worker": self._owner.owners.me,
            "lines": lines,
            "left_off": len(rows) - len(lines),
            "sites": _bounded([asdict(_now(site)) for site in sites], MAX_ANSWER // 4),
            "uses": uses,
        }

    async def _on_question(self, message: Msg) -> None:
        try:
            question = Question.unpack(message.data)
        except (ValueError, TypeError, KeyError) as error:  # another version's
            log.warning("a question that is none: %s", error)
            return
        with contextlib.suppress(BrokerFailure):
            await self._broker.publish(message.reply, json.dumps(self.answer(question)).encode())


def _shortened(line: Waiting, domain: str) -> Waiting:
    domains = dict(islice(line.domains.items(), MAX_DOMAINS))
    if domain:
        domains[domain] = line.domains[domain]
    return replace(line, waits_for=line.waits_for[:MAX_TEXT], domains=domains)


def _now(site: Site) -> SiteNow:
    down, failure = site.down, site.down_failure
    return SiteNow(
        site=site.key,
        source=site.source,
        busy=site.busy,
        idle=site.idle,
        down_until=time.time() + down if down else 0.0,
        down=str(failure)[:MAX_TEXT] if down else "",
    )


def _bounded(rows: Iterable[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """As many as so many bytes hold."""
    kept = []
    for row in rows:
        size -= len(json.dumps(row))
        if size < 0:
            break
        kept.append(row)
    return kept
