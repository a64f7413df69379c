"""Debian's Postfix and OpenDKIM out of their packages, not installed: run from a private folder, as root.

Debian's settings, and what differs: all under a private folder, no chroot, a log file of its own, relay for loopback
only, routes from a table in place of DNS, and room for more deliveries at once than it needs.
"""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path

from bench import packages
from bench.generator import SENDER_DOMAIN
from bench.relays import ROUTES, SELECTOR, Relay
from common.errors import UnavailableError
from master.demo.world import HOSTNAME

#: Any account and group that no other daemon here uses do; Debian's own are not made.
OWNER, GROUP = "mail", "news"
START_TIMEOUT, STOP_TIMEOUT = 20.0, 10.0
QUEUES = ("incoming", "active", "deferred")
_FOLDERS = (*QUEUES, "bounce", "corrupt", "defer", "flush", "hold", "private", "saved", "trace")
_MAIN = """\
compatibility_level = 3.6
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
readme_directory = no
smtp_tls_security_level = may

import_environment = LD_LIBRARY_PATH MAIL_CONFIG
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {folder}/etc
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = {owner}
setgid_group = {group}
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}

myhostname = {hostname}
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
transport_maps = texthash:{folder}/etc/transport
initial_destination_concurrency = 20
smtp_destination_concurrency_limit = 100
"""
_MILTER = "smtpd_milters = unix:{folder}/opendkim.sock\n"
_OPENDKIM = """\
Syslog yes
SyslogSuccess yes
Canonicalization relaxed/relaxed
OversignHeaders From
UMask 000
Socket local:{folder}/opendkim.sock
PidFile {folder}/opendkim.pid
Domain {domain}
Selector {selector}
KeyFile {key}
RequireSafeKeys no
InternalHosts 127.0.0.0/8
"""


def unpack() -> Path:
    """Both packages and what they need; the folder. Raises UnavailableError with the remedy."""
    if os.geteuid():
        raise UnavailableError("Postfix runs as root only: try sudo")
    return packages.unpack("root")


class Postfix(Relay):
    """Postfix alone."""

    name = "Postfix"
    signs = False

    def __init__(self, folder: Path, mx_port: int, key: Path) -> None:
        super().__init__(folder, mx_port, key)
        self._root = unpack()
        self._environment = packages.environment(self._root)
        self._processes: list[asyncio.subprocess.Process] = []

    async def start(self) -> None:
        self._prepare()
        if self.signs:
            await self._spawn("usr/sbin/opendkim", "-f", "-x", str(self.folder / "opendkim.conf"))
        await self._spawn("usr/lib/postfix/sbin/master", "-d", "-c", str(self.folder / "etc"))
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await self._answers():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise UnavailableError(f"{self.name} takes no mail: {self._log()}") from None

    async def stop(self) -> None:
        for process in reversed(self._processes):
            if process.returncode is None:
                if self.signs and process is self._processes[0]:
                    process.kill()  # OpenDKIM would take 5 s, and has nothing to finish
                else:
                    process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
                except TimeoutError:
                    process.kill()
                    await process.wait()
        self._processes.clear()

    def roots(self) -> list[int]:
        return [process.pid for process in self._processes]

    async def settled(self, mails: int) -> bool:
        """The queue is empty."""
        return not any(files for queue in QUEUES for _, _, files in os.walk(self.folder / "queue" / queue))

    def _prepare(self) -> None:
        """Write settings, make the queue's folders as post-install would."""
        names = {
            "root": self._root, "folder": self.folder, "owner": OWNER, "group": GROUP, "hostname": HOSTNAME,
            "domain": SENDER_DOMAIN, "selector": SELECTOR, "key": self.key,
        }  # fmt: skip
        etc, queue = self.folder / "etc", self.folder / "queue"
        for path in (etc, queue / "pid"):
            path.mkdir(parents=True)
        for path in (self.folder / "data", *(queue / name for name in _FOLDERS)):
            path.mkdir(mode=0o700)
            shutil.chown(path, OWNER)
        for path, mode in ((queue / "public", 0o710), (queue / "maildrop", 0o730)):
            path.mkdir()
            path.chmod(mode)
            shutil.chown(path, OWNER, GROUP)
        (etc / "main.cf").write_text((_MAIN + (_MILTER if self.signs else "")).format(**names))
        (etc / "transport").write_text(
            "".join(f"{domain} smtp:[{host}]:{self.mx_port}\n" for domain, host in ROUTES.items())
        )
        (self.folder / "opendkim.conf").write_text(_OPENDKIM.format(**names))
        services = (self._root / "usr/share/postfix/master.cf.dist").read_text()
        services = re.sub(r"^smtp( +inet )", rf"127.0.0.1:{self.port}\1", services, flags=re.MULTILINE)
        # the fifth column: chroot
        services = re.sub(r"^(\S+ +(?:inet|unix\S*) +\S+ +\S+ +)[y-]", r"\1n", services, flags=re.MULTILINE)
        (etc / "master.cf").write_text(services)

    async def _spawn(self, program: str, *arguments: str) -> None:
        with (self.folder / "output").open("ab") as output:
            self._processes.append(
                await asyncio.create_subprocess_exec(
                    str(self._root / program),
                    *arguments,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Postfix's master ends its process group
                )
            )

    async def _answers(self) -> bool:
        codes = [process.returncode for process in self._processes]
        if any(code is not None for code in codes):
            raise UnavailableError(f"{self.name} ended with {codes}: {self._log()}")
        try:
            writers = [(await asyncio.open_connection("127.0.0.1", self.port))[1]]
            if self.signs:
                writers.append((await asyncio.open_unix_connection(self.folder / "opendkim.sock"))[1])
        except OSError:
            return False
        for writer in writers:
            writer.close()
        return True

    def _log(self) -> str:
        texts = [path.read_text()[-1000:] for name in ("output", "mail.log") if (path := self.folder / name).exists()]
        return "\n".join(texts)


class PostfixOpenDKIM(Postfix):
    """Postfix with OpenDKIM as its milter."""

    name = "Postfix+OpenDKIM"
    signs = True
