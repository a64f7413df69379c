"""Gives workers limits by domain. Python imports this at its start where it is on PYTHONPATH.

``LIMITS`` names a file: a JSON list of objects with ``domain`` (a suffix), ``key`` (``{site}`` and ``{domain}`` are
filled in), ``what``, ``amount`` and ``per``. They come on top of what ``[delivery]`` says.
"""

import dataclasses
import importlib.abc
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

RULES = Path(os.environ.get("LIMITS", "/nonexistent"))


def extend(module: ModuleType) -> None:
    """Have ``from_delivery`` give these limits too."""
    from common.limits.limit import Limit, What

    rules = json.loads(RULES.read_text())
    plain = module.from_delivery

    def from_delivery(delivery: Any) -> Any:
        of = plain(delivery)

        def policy_of(domain: str, route: Any, pool: str, source: str) -> Any:
            policy = of(domain, route, pool, source)
            more = tuple(
                Limit(
                    rule["key"].format(site=f"site:{route.key}", domain=f"domain:{domain}"),
                    What(rule["what"]), rule["amount"], rule.get("per", 0), f"{RULES}",
                )
                for rule in (rules if route else ()) if domain.endswith(rule["domain"])
            )  # fmt: skip
            return dataclasses.replace(policy, limits=policy.limits + more)

        return policy_of

    module.from_delivery = from_delivery  # type: ignore[attr-defined]


class Importer(importlib.abc.MetaPathFinder):
    """Extends the module as it is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "outbound.pace":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec
        assert spec.loader
        execute = spec.loader.exec_module

        def execute_and_extend(module: ModuleType) -> None:
            execute(module)
            extend(module)

        spec.loader.exec_module = execute_and_extend  # type: ignore[method-assign]
        return spec


if RULES.exists():
    sys.meta_path.insert(0, Importer())
