"""Mail programs of Debian as clients of Postjet: Postfix, Exim, msmtp; over TLS that is verified, logged in."""

import asyncio
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench import packages, postfix
from master.demo.world import HOSTNAME

USER, PASSWORD = "app@sender.test", "correct:horse"
_POSTFIX = """\
relayhost = [127.0.0.1]:{starttls}
transport_maps = inline:{{ {{ smtps.test = smtps:[127.0.0.1]:{implicit} }} }}
smtp_tls_CAfile = {cert}
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = {hostname}
smtp_tls_loglevel = 1
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:{folder}/etc/passwords
smtp_sasl_security_options = noanonymous
"""
_SMTPS = """\
smtps unix - - n - - smtp
    -o smtp_tls_wrappermode=yes
    -o smtp_sasl_mechanism_filter=plain
"""
_EXIM = """\
primary_hostname = exim.test
exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
keep_environment = ^LD_ : ^NSS_
tls_advertise_hosts =

begin routers
postjet:
  driver = manualroute
  transport = postjet
  route_list = * 127.0.0.1::{port}
  self = send
  no_more

begin transports
postjet:
  driver = smtp
  protocol = {protocol}
  hosts_require_tls = *
  hosts_require_auth = *
  tls_verify_certificates = {cert}
  tls_verify_hosts = *
  tls_verify_cert_hostnames =

begin authenticators
postjet:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{user}^{password}
"""
_EXIM_USER = "Debian-exim"


@dataclass(frozen=True, kw_only=True)
class Door:
    """Where Postjet listens; ``cert`` is what to trust."""

    starttls: int
    implicit: int
    cert: Path


class Postfix(postfix.Postfix):
    """Gives all mail to Postjet by STARTTLS, mail to smtps.test by implicit TLS."""

    def __init__(self, folder: Path, door: Door) -> None:
        super().__init__(folder, 0, folder / "none")
        self._door = door

    def log(self) -> str:
        """Its mail.log."""
        return (self.folder / "mail.log").read_text()

    def _prepare(self) -> None:
        super()._prepare()
        main, services = self.folder / "etc/main.cf", self.folder / "etc/master.cf"
        cert = self.folder / "cert.pem"  # its daemons are not root
        cert.write_bytes(self._door.cert.read_bytes())
        ports = {"starttls": self._door.starttls, "implicit": self._door.implicit}
        ours = _POSTFIX.format(**ports, cert=cert, hostname=HOSTNAME, folder=self.folder)
        passwords = "".join(f"[127.0.0.1]:{port} {USER}:{PASSWORD}\n" for port in ports.values())
        (self.folder / "etc/passwords").write_text(passwords)
        kept = [line for line in main.read_text().splitlines() if not line.startswith(("smtp_tls_", "transport_maps"))]
        main.write_text("\n".join(kept) + "\n" + ours)
        with services.open("a") as file:
            file.write(_SMTPS)


async def run(*command: str, given: bytes = b"", code: int = 0, environment: dict[str, str] | None = None) -> str:
    """Run a program to its end, with this on its standard input; what it printed. Raises AssertionError."""
    done = await asyncio.to_thread(
        subprocess.run, command, input=given, env=environment, capture_output=True, timeout=60, check=False
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == code, said
    return said


async def exim(folder: Path, door: Door, protocol: str, sender: str, recipient: str, content: bytes) -> str:
    """One mail through Exim's queue, by smtp, which begins TLS, or smtps; its log."""
    root = packages.CACHE / "clients"
    program, config = str(root / "usr/sbin/exim4"), folder / "exim.conf"
    password = PASSWORD.replace(":", "::")
    names = {"program": program, "folder": folder, "cert": door.cert, "user": USER, "password": password}
    port = door.implicit if protocol == "smtps" else door.starttls
    config.write_text(_EXIM.format(protocol=protocol, port=port, **names))
    shutil.chown(folder, postfix.OWNER)
    users, groups = folder / "passwd", folder / "group"
    owner = pwd.getpwnam(postfix.OWNER)
    users.write_text(f"root:x:0:0::/:/bin/sh\n{_EXIM_USER}:x:{owner.pw_uid}:{owner.pw_gid}::/:/bin/sh\n")
    groups.write_text(f"root:x:0:\n{_EXIM_USER}:x:{owner.pw_gid}:\n")
    environment = packages.environment(root) | {
        "LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_PASSWD": str(users), "NSS_WRAPPER_GROUP": str(groups)
    }  # fmt: skip
    mail = ("-odq", "-i", "-f", sender, recipient)
    await run(program, "-C", str(config), *mail, given=content.replace(b"\r\n", b"\n"), environment=environment)
    # what takes a mail in gives up root, and cannot get it back: this is not installed
    await run(program, "-C", str(config), "-q", environment=environment)
    return (folder / "mainlog").read_text()


async def msmtp(*arguments: str, given: bytes) -> str:
    """One mail through msmtp, which reads no configuration of this machine; what it printed."""
    root = packages.CACHE / "clients"
    environment = packages.environment(root) | {"HOME": os.devnull}
    return await run(str(root / "usr/bin/msmtp"), "--file=/dev/null", *arguments, given=given, environment=environment)
