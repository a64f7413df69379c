"""When a delivery is tried again, and when it is given up."""

import random

from common.config import Delivery
from common.entry import Entry


def next_attempt(entry: Entry, attempts: int, now: float, policy: Delivery) -> float | None:
    """When to try again after ``attempts`` tries that counted, seconds since 1970; None: give up.

    The delay grows from ``retry_first`` by ``retry_factor`` to ``retry_max``. No try is scheduled past
    expiry: the last one meets the entry at that moment and ends it.
    """
    if now >= entry.expires or (policy.max_attempts and attempts >= policy.max_attempts):
        return None
    growth: float = policy.retry_factor ** min(max(attempts - 1, 0), 64)
    delay = min(policy.retry_first * growth, policy.retry_max)
    delay *= 1 + policy.retry_jitter * random.uniform(-1, 1)
    return min(now + delay, entry.expires)
