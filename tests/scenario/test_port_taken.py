"""A port that another program has is told in one line."""

from pathlib import Path

from scenario_support import postjet, processes, said_once

from master.demo.sink import Sink
from master.sockets import free_port


async def test_port_taken(tmp_path: Path) -> None:
    config = tmp_path / "postjet.toml"
    async with Sink() as other:
        port = other.port
        config.write_text(f'hostname = "mta.test"\n[[listeners]]\nname = "in"\nbind = "{other.address}"\n')
        line = said_once(await postjet("up", config=config), 75)
    assert f"{other.host}:{port} is taken by another program" in line
    assert processes(tmp_path) == {}


async def test_port_of_the_api_taken(tmp_path: Path) -> None:
    config = tmp_path / "postjet.toml"
    async with Sink() as other:
        address = other.address
        config.write_text(
            f'hostname = "mta.test"\n[api]\nbind = "{address}"\n'
            f'[[listeners]]\nbind = "127.0.0.1:{free_port()}"\n'
        )
        line = said_once(await postjet("up", config=config), 75)
    assert f"api.bind: {address} is taken by another program" in line
    assert processes(tmp_path) == {}


async def test_port_of_the_database_taken(tmp_path: Path) -> None:
    config = tmp_path / "postjet.toml"
    async with Sink() as other:
        config.write_text(
            f'hostname = "mta.test"\n[api]\nbind = "127.0.0.1:0"\n[clickhouse]\nbind = "{other.address}"\n'
            f'[[listeners]]\nbind = "127.0.0.1:{free_port()}"\n'
        )
        line = said_once(await postjet("up", config=config), 75)
        assert f"clickhouse.bind: {other.address} is taken by another program" in line
    assert processes(tmp_path) == {}
