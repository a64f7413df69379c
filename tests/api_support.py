"""The role api in this process, against a real broker or none."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

from support import PASSWORD, Nats

from api.main import main
from common import sockets
from common.config import Api, Config
from common.feedback import Feedback
from common.instance import Instance
from common.listener import Listener
from common.role import Role, connecting
from master import nats_server


@dataclass
class Answer:
    status: int
    headers: Message
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Running:
    address: str
    role: Role

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        request = urllib.request.Request(f"http://{self.address}{path}", headers=headers, method=method)
        return await asyncio.to_thread(_get, request)


def _get(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return Answer(response.status, response.headers, response.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read().decode())


@dataclass
class Start:
    """What an api is started with."""

    nats: Nats
    folder: Path
    max_store: int = 10**9
    clickhouse_url: str = ""
    feedback: Feedback = field(default_factory=Feedback)
    listeners: list[Listener] = field(default_factory=lambda: [Listener(bind="127.0.0.1:1")])

    @asynccontextmanager
    async def api(self, *, parent: bool = False) -> AsyncIterator[Running]:
        """With ``parent`` as its child."""
        config = Config(
            data_dir=str(self.folder), listeners=self.listeners, api=Api(bind="127.0.0.1:0"), feedback=self.feedback
        )
        servers = Instance(
            pid=1,
            nats_url=self.nats.url,
            nats_user=nats_server.USER,
            nats_password=PASSWORD,
            clickhouse_url=self.clickhouse_url,
            max_store=self.max_store,
        )
        (self.folder / "run").mkdir(exist_ok=True)
        servers.write(config.data_dir)
        sock = sockets.bind("127.0.0.1:0", "api.bind")
        address = sockets.shown(sock)
        if not parent:
            sock.close()
            config = config.model_copy(update={"api": Api(bind=address)})
        async with connecting(servers, ["default"], "test-api") as broker:
            given = {"api": sock.detach()} if parent else {}
            role = Role("api", config, servers, broker, asyncio.Event(), sockets=given)
            async with asyncio.TaskGroup() as group:
                group.create_task(main(role))
                running = Running(address, role)
                try:
                    await _answers(address)
                    yield running
                finally:
                    role.stopping.set()


async def _answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
