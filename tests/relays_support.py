"""sendmail and OpenSMTPD of Debian as MX hosts: out of their packages, not installed, delivering to fixed addresses."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import packages

#: Where they listen; and the domain that their aliases lead to.
SENDMAIL, OPENSMTPD, FAR = "127.0.3.3", "127.0.3.4", "far.test"
_SENDMAIL = """\
include(`{cf}/m4/cf.m4')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `sendmail.test')dnl
define(`confSERVICE_SWITCH_FILE', `{folder}/switch')dnl
define(`confDONT_BLAME_SENDMAIL', `MapInUnsafeDirPath')dnl
define(`confBAD_RCPT_THROTTLE', `0')dnl
define(`confPID_FILE', `{folder}/pid')dnl
define(`ALIAS_FILE', `text:-k0 -v1 {folder}/aliases')dnl
define(`QUEUE_DIR', `{folder}/queue')dnl
define(`STATUS_FILE', `{folder}/status')dnl
define(`HELP_FILE', `{folder}/help')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {mx_port}')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {smtp_port}')dnl
DAEMON_OPTIONS(`Port={mx_port}, Addr={address}')dnl
CLIENT_OPTIONS(`Family=inet, Address={stranger}')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`mailertable', `text -k0 -v1 {folder}/mailertable')dnl
LOCAL_DOMAIN(`sendmail.test')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
"""
_OPENSMTPD = """\
listen on {address} port {mx_port} hostname opensmtpd.test
action "back" relay host "smtp://127.0.0.1:{smtp_port}" src {stranger}
action "on" relay host "smtp://127.0.0.2:{mx_port}"
match from any for domain "{domain}" action "back"
match from any for any action "on"
"""
_USERS = """\
root:x:0:0::/:/bin/sh
opensmtpd:x:990:990::/var/lib/opensmtpd/empty:/bin/false
opensmtpq:x:991:991::/var/lib/opensmtpd/empty:/bin/false
"""
_GROUPS = "root:x:0:\nopensmtpd:x:990:\nopensmtpq:x:991:\n"


@contextmanager
def sendmail(folder: Path, mx_port: int, **names: str | int) -> Iterator[None]:
    """``team@sendmail.test`` leads to ``gone@far.test``. ``names``: domain, stranger, smtp_port."""
    root = packages.CACHE / "sendmail"
    environment, cf = packages.environment(root) | {"LD_PRELOAD": "libnss_wrapper.so"}, root / "usr/share/sendmail/cf"
    # it waits for a minute where the name of this machine is not in DNS
    (folder / "hosts").write_text(f"{SENDMAIL} sendmail.test\n")
    named = {"NSS_WRAPPER_HOSTNAME": "sendmail.test", "NSS_WRAPPER_HOSTS": str(folder / "hosts")}
    (folder / "queue").mkdir(mode=0o700)
    (folder / "switch").write_text("hosts files\naliases files\n")
    (folder / "aliases").write_text(f"team gone@{FAR}\n")
    (folder / "mailertable").write_text(f"{names['domain']} relay:[127.0.0.1]\n{FAR} esmtp:[127.0.0.2]\n")
    settings = _SENDMAIL.format(cf=cf, folder=folder, address=SENDMAIL, mx_port=mx_port, **names)
    m4 = [root / "usr/bin/m4", f"-D_CF_DIR_={cf}/", "-"]
    made = subprocess.run(m4, input=settings.encode(), env=environment, capture_output=True, check=True)
    (folder / "sendmail.cf").write_bytes(made.stdout)
    program = folder / "sendmail"  # a copy that changes no group, for else it would be told of no libraries
    shutil.copyfile(root / "usr/libexec/sendmail/sendmail", program)
    program.chmod(0o755)
    with _running([program, "-C", folder / "sendmail.cf", "-bD"], folder, environment | named):
        yield


@contextmanager
def opensmtpd(folder: Path, mx_port: int, **names: str | int) -> Iterator[None]:
    """Sends all on. Its paths are fixed, so it has a root of its own, with the libraries that it needs."""
    shutil.copytree(packages.CACHE / "opensmtpd", folder, dirs_exist_ok=True, symlinks=True)
    program = folder / "usr/sbin/smtpd"
    for line in subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines():
        if library := next((word for word in line.split() if word.startswith("/")), ""):
            (copy := folder / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(library, copy)
            copy.chmod(0o755)
    for path in ("var/spool/smtpd", "var/lib/opensmtpd/empty", "var/run", "run", "tmp"):
        (folder / path).mkdir(parents=True, mode=0o711, exist_ok=True)
    (folder / "var/spool/smtpd").chmod(0o711)
    (folder / "etc/passwd").write_text(_USERS)
    (folder / "etc/group").write_text(_GROUPS)
    (folder / "etc/smtpd.conf").write_text(_OPENSMTPD.format(address=OPENSMTPD, mx_port=mx_port, **names))
    with _running(["chroot", folder, "/usr/sbin/smtpd", "-dv"], folder, {"PATH": "/usr/sbin:/usr/bin"}):
        yield


@contextmanager
def _running(argv: list[str | Path], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A daemon, while this lasts; what it says is in ``output``."""
    with (folder / "output").open("wb") as output:
        daemon = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield
    finally:
        daemon.terminate()
        daemon.wait()
