"""Sizes, durations and rates as operators write them: ``50MB``, ``5m``, ``90d``."""

import re
from dataclasses import dataclass

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?i?)B?", re.IGNORECASE)
_SIZE_FACTORS = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40,
}  # fmt: skip
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?")
_DURATION_FACTORS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, None: 1.0}
_RATE = re.compile(r"(\d{1,9})\s*/\s*(\d{0,4})\s*([smhd])")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``amount`` in any ``per`` seconds."""

    amount: int
    per: float

    def __str__(self) -> str:
        for unit in "dhm":
            if self.per % _DURATION_FACTORS[unit] == 0:
                break
        else:
            unit = "s"
        count = int(self.per / _DURATION_FACTORS[unit])
        return f"{self.amount}/{count if count > 1 else ''}{unit}"


def parse_size(text: str | int) -> int:
    """A size such as ``50MB`` (decimal) or ``64KiB`` (binary) in bytes. Raises ValueError."""
    match = _SIZE.fullmatch(str(text).strip())
    if not match:
        raise ValueError(f"{text!r} is no size; write a number with kB, MB, GB or KiB, MiB, GiB, such as 50MB")
    return int(float(match[1]) * _SIZE_FACTORS[match[2].lower()])


def parse_duration(text: str | float) -> float:
    """A duration such as ``30s``, ``5m`` or ``4h`` in seconds. Raises ValueError."""
    match = _DURATION.fullmatch(str(text).strip())
    if not match:
        raise ValueError(f"{text!r} is no duration; write a number with ms, s, m, h, d or w, such as 5m")
    return float(match[1]) * _DURATION_FACTORS[match[2]]


def parse_rate(text: str | Rate) -> Rate:
    """A rate such as ``20/s``, ``600/m``, ``10000/h``, ``50000/d`` or ``5/10s``. Raises ValueError."""
    if isinstance(text, Rate):
        return text
    match = _RATE.fullmatch(str(text).strip())
    if not match or not int(match[1]) or not int(match[2] or 1):
        raise ValueError(f"{text!r} is no rate; write a whole number above 0 and s, m, h or d, such as 20/s or 5/10s")
    return Rate(int(match[1]), int(match[2] or 1) * _DURATION_FACTORS[match[3]])


def format_size(size: float) -> str:
    """Bytes as people read them: ``12.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def format_duration(seconds: float) -> str:
    """Seconds as people read them: ``1.2s``, ``5m``, ``1h05m``, ``2d3h``."""
    if seconds < 60:
        return f"{seconds:.2g}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 60:
        return f"{minutes}m"
    if hours < 24:
        return f"{hours}h{minutes % 60:02d}m" if minutes % 60 else f"{hours}h"
    return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
