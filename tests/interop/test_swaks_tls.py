"""swaks over TLS both ways, as a proxy that says XCLIENT, and behind PROXY: what the recipient's Received says."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from scenario_support import SENDER
from tls_support import write_certificate

from master.demo.world import HOSTNAME, World
from master.sockets import free_port

pytestmark = pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed; apt-get install swaks")

TLS = "(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384)"
XCLIENT = ("--xclient-addr", "192.0.2.7", "--xclient-name", "c.example", "--xclient-helo", "c.example",
           "--xclient-login", "user@c.example", "--xclient-proto", "ESMTP", "--xclient-port", "1234")  # fmt: skip
PROXY = ("--proxy-source", "192.0.2.7", "--proxy-source-port", "1234", "--proxy-dest", "192.0.2.1",
         "--proxy-dest-port", "25", "--proxy-family", "TCP4")  # fmt: skip
V2 = ("--proxy-version", "2", "--proxy-command", "PROXY", "--proxy-protocol", "STREAM", *PROXY[:-1], "AF_INET")


async def test_swaks(tmp_path: Path) -> None:
    relay, implicit, proxied = write_certificate(tmp_path, HOSTNAME), free_port(), free_port()
    verified = ("--tls-verify", "--tls-ca-path", relay["tls_cert"])
    networks = ["127.0.0.1", "192.0.2.0/24"]
    listeners = [
        {"name": "implicit", "bind": f"127.0.0.1:{implicit}", "tls": "implicit", **relay},
        {"name": "proxied", "bind": f"127.0.0.1:{proxied}", "proxy": ["127.0.0.1"], "networks": networks, **relay},
    ]
    settings = {"listener": {"xclient": ["127.0.0.1"], "networks": networks, **relay}, "listeners": listeners}
    async with World(tmp_path, sinks=1, settings=settings) as world:
        world.add_domain("a.test")
        for port, options, client, secure in (
            (world.smtp_port, ("-tls", *verified), "127.0.0.1", True),
            (implicit, ("--tls-on-connect", *verified), "127.0.0.1", True),
            (world.smtp_port, XCLIENT, "192.0.2.7", False),
            (world.smtp_port, ("-tls", *XCLIENT), "192.0.2.7", True),
            (proxied, ("--proxy-version", "1", *PROXY), "192.0.2.7", False),
            (proxied, V2, "192.0.2.7", False),
            (proxied, ("-tls", *V2), "192.0.2.7", True),
        ):
            await _swaks(port, *options)
            await world.sinks[0].wait_for(1)
            received = world.sinks[0].received.pop().content.partition(b"Date:")[0].decode()
            world.sinks[0].mails = 0
            assert f"([{client}])" in received, options
            assert (TLS in received, " with ESMTPS id " in received) == (secure, secure), received


async def _swaks(port: int, *options: str) -> None:
    command = ["swaks", "--server", "127.0.0.1", "--port", str(port), "--helo", "client.test", "--from", SENDER,
               "--to", "r@a.test", *options]  # fmt: skip
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
