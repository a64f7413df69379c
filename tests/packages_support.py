"""Tests with programs of Debian's that are fetched, not installed: CI fetches them all."""

import pytest

from bench import packages


def _needs(folder: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not (packages.CACHE / folder).exists(), reason="python -m bench.packages fetches it")


NEEDS_POSTFIX, NEEDS_CLIENTS = _needs("root"), _needs("clients")
NEEDS_SENDMAIL, NEEDS_OPENSMTPD = _needs("sendmail"), _needs("opensmtpd")
