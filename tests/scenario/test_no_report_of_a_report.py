"""A report that cannot be delivered ends without a word, and so does mail from the null sender."""

import pytest
from scenario_support import broker, ids, mx, query, send_as, story, types
from support import until

from common.ids import report_id
from common.subjects import queue_stream, submission
from master.demo.generator import make_message, send_all
from master.demo.sink_script import Rule
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_no_report_of_a_report(world: World) -> None:
    async with mx(world, "127.0.2.1", "refusing2.test") as refusing, broker(world) as connection:
        refusing.rules.append(Rule(phase="rcpt", reply="550 5.1.1 No such user here"))
        [first] = await send_as(world, "me@no-such-domain.test", "nobody@refusing2.test")
        [second] = await send_as(world, "me@refusing2.test", "nobody@refusing2.test")
        mail = ("", ["nobody@refusing2.test"], make_message(1000))
        [third] = ids(await send_all([mail], "127.0.0.1", world.smtp_port))
        for about in (first, second):
            assert types(await story(world, report_id(f"{about}-1"), "bounced")) == ["accepted", "bounced"]
        await story(world, third, "bounced")
        ended = [first, second, third, report_id(f"{first}-1"), report_id(f"{second}-1")]

        async def gone() -> bool:
            return not [
                one for one in ended if await connection.subjects(queue_stream("default"), submission("default", one))
            ]

        await until(gone)  # a report would have been stored before what it is about went
        for one in ended[2:]:
            report = report_id(f"{one}-1")
            assert await connection.subjects(queue_stream("default"), submission("default", report)) == {}
            assert await query(world, f"SELECT type FROM events WHERE submission = '{report}'") == []
