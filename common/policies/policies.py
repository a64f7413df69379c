"""The rules in force: asked for every mail, read again when their file or KV changes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from common import config_file
from common.broker import Broker
from common.classify.classifier import Classifier
from common.classify.reading import classifier
from common.config import Config
from common.errors import ConfigError
from common.policies import kv, reading
from common.policies.outcome import Outcome
from common.policies.policy import Policy
from common.policies.reading import Rules
from common.policies.replies import ReplyRules
from common.waits import keep_looking

log = structlog.get_logger()

#: Seconds between two looks at file and KV.
EVERY = 2.0
#: Policies kept ready; some 20 µs each to find again.
MAX_CACHE = 10_000


class Policies:
    """Answers what holds for a mail. ``load`` makes one; ``watch`` keeps it up to date."""

    def __init__(self, rules: Rules, path: Path | None = None) -> None:
        """``rules`` without those of KV. Raises ConfigError."""
        self._path = path
        self._stamp: object = "not looked at"  # it may have changed since the configuration was read
        self.revision = 0
        """Counts the changes; what was asked before the last one may differ now."""
        self.on_change: Callable[[], None] = lambda: None
        self._use(rules, {})

    @classmethod
    def load(cls, config: Config, path: Path | None) -> "Policies":
        """The shipped rules and the operator's, in the file that ``config`` was read from. Raises ConfigError."""
        return cls(reading.shipped() + reading.of_config(config, path), path)

    def policy(self, domain: str, hosts: Sequence[str], site_key: str, pool: str, source: str = "") -> Policy:
        """What holds for mail to a domain (lower case) from a pool over the site with these MX hosts.

        Where there is no route, ``hosts`` and ``site_key`` are empty and the policy has no limits of a site.
        """
        key = domain, site_key, pool, source
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= MAX_CACHE:
                self._cache.clear()
            found = self._cache[key] = self._outcome.policy(domain, hosts, site_key, pool, source)
        return found

    @property
    def classes(self) -> Classifier:
        """What kind of refusal a reply is; the shipped rules are read when it is first asked for."""
        return classifier(self._file_rules.classes)

    async def watch(self, broker: Broker, every: float = EVERY) -> None:
        """Look again and again, for ever; a broker that does not answer is asked again."""
        await keep_looking(lambda: self.look(broker), every, "policies: KV")

    async def look(self, broker: Broker) -> bool:
        """Take over what changed in the file or KV; whether something did. What is wrong changes nothing.

        Raises BrokerFailure.
        """
        changed = self._reread()
        entries = await kv.entries(broker)
        if entries != self._kv:
            self._use(self._file_rules, entries)
            changed = True
        if changed:
            log.info("policies: new rules in force, %d of them from KV", len(entries))
        return changed

    def _reread(self) -> bool:
        if self._path is None or (stamp := _stamp(self._path)) == self._stamp:
            return False
        self._stamp = stamp  # what is wrong with it is said once
        try:
            rules = reading.shipped() + reading.of_config(*config_file.load(str(self._path)))
            if rules == self._file_rules:
                return False
            self._use(rules, self._kv)
        except (ConfigError, OSError) as error:
            log.error("policies: the rules in force stay: %s", error)
            return False
        return True

    def _use(self, rules: Rules, entries: kv.Entries) -> None:
        outcome = Outcome(rules + kv.rules(entries, rules))
        self._outcome, self._cache = outcome, dict[tuple[str, str, str, str], Policy]()
        self._file_rules, self._kv = rules, entries
        self.replies = ReplyRules(outcome.rules.replies)
        self.revision += 1
        self.on_change()


def _stamp(path: Path) -> object:
    """Changes with the file."""
    try:
        status = path.stat()
    except OSError:
        return "gone"
    return status.st_ino, status.st_mtime_ns, status.st_size
