"""Where the corpora are."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def corpora() -> Path:
    """``POSTJET_CORPORA``, or ``../shared/corpora`` beside the checkout, or where these machines have it."""
    if named := os.environ.get("POSTJET_CORPORA"):
        return Path(named)
    beside = ROOT.parent / "shared/corpora"
    return beside if beside.is_dir() else Path("/work/shared/corpora")
