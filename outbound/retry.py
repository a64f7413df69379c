"""When a delivery is tried again, and when it is given up."""

import random

from common.policies.policy import Policy


def next_attempt(expires: float, attempts: int, now: float, policy: Policy) -> float | None:
    """When to try again after ``attempts`` tries that counted, seconds since 1970; None: give up.

    The delays are those of ``retry``; without any they grow from ``retry_first`` by ``retry_factor`` to
    ``retry_max``. No try is scheduled past expiry: the last one meets the entry at that moment and ends it.
    """
    if now >= expires or (policy.max_attempts and attempts >= policy.max_attempts):
        return None
    tried = max(attempts - 1, 0)
    if policy.retry:
        delay = policy.retry[min(tried, len(policy.retry) - 1)]
    else:
        delay = min(policy.retry_first * policy.retry_factor ** min(tried, 64), policy.retry_max)
    delay *= 1 + policy.retry_jitter * random.uniform(-1, 1)
    return min(now + delay, expires)
