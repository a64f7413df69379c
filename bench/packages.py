"""Programs out of Debian's packages, not installed: fetched with apt-get into a cache, and run from there.

``python -m bench.packages`` fetches all that bench and tests use.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from common.errors import UnavailableError

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "postjet-bench")
#: By folder: mail systems exclude one another as packages. Exim asks for its user by name: libnss-wrapper answers.
PACKAGES = {
    "root": ("postfix", "opendkim"),
    "clients": ("exim4-daemon-light", "msmtp", "libnss-wrapper"),
    "sendmail": ("sendmail-bin", "sendmail-cf", "m4", "libnss-wrapper"),
    "opensmtpd": ("opensmtpd",),
}


def unpack(name: str) -> Path:
    """The packages and what they need, as apt-get has them; the folder. Raises UnavailableError with the remedy."""
    if not shutil.which("apt-get"):
        raise UnavailableError(f"apt-get is needed to fetch {', '.join(PACKAGES[name])}: not a Debian system")
    root = CACHE / name
    if not root.exists():
        debs, part = CACHE / f"{name}.debs", CACHE / f"{name}.part"
        for folder in (debs, part):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        plan = _command(debs, "apt-get", "install", "--simulate", "--no-install-recommends", *PACKAGES[name])
        names = {*PACKAGES[name], *re.findall(r"^Inst (\S+)", plan, re.MULTILINE)}
        _command(debs, "apt-get", "download", *sorted(names))
        for package in debs.glob("*.deb"):
            _command(debs, "dpkg-deb", "--extract", str(package), str(part))
        part.rename(root)
    return root


def environment(root: Path) -> dict[str, str]:
    """Ours, and where the libraries are that came with the programs."""
    libraries = [root / "usr/lib", root / "usr/lib/postfix", *root.glob("usr/lib/*-linux-gnu")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))}


def _command(folder: Path, *argv: str) -> str:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"{' '.join(argv[:2])}: {done.stderr.strip()[-300:]}; try: apt-get update")
    return done.stdout


if __name__ == "__main__":
    for each in PACKAGES:
        print(unpack(each))
