"""A mail's way told to an application: signed, replayed, to who is named."""

import json
from pathlib import Path
from typing import Any

from hooks_support import SECRET, Receiver, receiving
from scenario_support import ids, postjet, queue, send, story
from support import until

from master.demo.generator import make_message, send_all
from master.demo.world import World


def settings(*receivers: Receiver, **more: Any) -> dict[str, Any]:
    names = ("app", "named")
    same = {"secrets": [SECRET], "allow_internal": True, "timeout": "1s"}
    return {
        "webhooks": [
            {"name": name, "url": receiver.url, **same, **more.get(name, {})}
            for name, receiver in zip(names, receivers, strict=False)
        ]
    }


async def command(world: World, *words: str, code: int = 0) -> Any:
    done = await postjet("webhook", *words, "--json", config=world.config_file)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


async def test_told_replayed_disabled_and_named(tmp_path: Path) -> None:
    async with receiving() as app, receiving() as named:
        more = {"named": {"only_named": True, "types": ["delivered"]}}
        async with World(tmp_path, sinks=1, settings=settings(app, named, **more)) as world:
            world.add_domain("receiver.test")
            [submission] = await send(world, "a@receiver.test")
            await until(lambda: len(app.taken) == 2)
            for got in app.taken:
                got.verify()
            assert {got.payload["type"] for got in app.taken} == {"message.accepted", "message.delivered"}
            [delivered] = [got.payload["data"] for got in app.taken if got.payload["type"] == "message.delivered"]
            assert delivered["delivery"] == f"{submission}-1"
            assert (delivered["recipient"], delivered["response"]["code"]) == ("a@receiver.test", 250)

            tested = await command(world, "test", "app")
            assert (tested["good"], tested["status"]) == (True, 200)
            assert app.taken[-1].payload["type"] == "webhook.test"
            app.taken.clear()
            await story(world, submission, "delivered")  # what is not recorded yet is not replayed
            assert (await command(world, "replay", "app", "--since", "1h", "--type", "delivered"))["queued"] == 1
            await until(lambda: len(app.taken) == 1)
            assert app.taken[0].payload["data"] == delivered

            assert (await command(world, "disable", "app"))["changed"]
            mail = make_message(500, recipient="b@receiver.test")
            mail = b"X-Postjet-Webhook: named\r\n" + mail
            [other] = ids(await send_all([("", ("b@receiver.test",), mail)], "127.0.0.1", world.smtp_port))
            await until(lambda: len(named.taken) == 1)
            assert named.taken[0].payload["data"]["submission"] == other
            assert len(app.taken) == 1
            states = {row["name"]: row["state"] for row in await command(world, "list")}
            assert states == {"app": "disabled", "named": "ok"}
            assert (await command(world, "enable", "app"))["changed"]
            # what happened meanwhile comes when it is asked for
            assert (await command(world, "replay", "app", "--since", "1h", "--type", "delivered"))["queued"] == 2
            await until(lambda: len(app.taken) == 3)
            assert {got.payload["data"]["submission"] for got in app.taken} == {submission, other}
            assert await queue(world) == {}
