"""The tables: numbered migrations in ``conf/clickhouse``, and how long rows are kept.

Several processes may migrate at the same time: every statement of a migration does no harm when repeated. But for a
migration that says ``-- alone``: that and what follows is for whoever records, while nothing is being recorded.
"""

import re
from importlib.resources import files
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from common.config import Events
from events.store import translated

_MIGRATIONS = """CREATE TABLE IF NOT EXISTS migrations
(number UInt32, name String, applied DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = ReplacingMergeTree(applied) ORDER BY number"""

#: Table to the key of ``[events]`` that says how long its rows are kept.
KEPT = {
    "events": "keep", "events_set_aside": "keep_personal",
    "traffic_by_minute": "keep_minutes", "domains_by_minute": "keep_minutes",
    "traffic_by_hour": "keep_hours", "domains_by_hour": "keep_hours",
}  # fmt: skip
#: Columns of ``events`` with what may tell of a person; they are emptied after ``[events] keep_personal``.
PERSONAL = ("sender", "recipient", "recipients", "meta", "message_id", "envid", "client_address", "text")
_VIEW = re.compile(r"CREATE MATERIALIZED VIEW \w+ TO (\w+) AS\s+(.*\bFROM\s+(\w+))", re.DOTALL)


class Migration(NamedTuple):
    """A file of ``conf/clickhouse``."""

    number: int
    name: str
    statements: list[str]
    alone: bool


def migrate(client: Client, keep: Events, *, alone: bool = True) -> None:
    """Bring the database up to date; not ``alone`` up to what has to be.

    Raises NotReachableError or RefusedError.
    """
    with translated():
        client.command(_MIGRATIONS)
        done = {row[0] for row in client.query("SELECT DISTINCT number FROM migrations").result_rows}
        pending = [migration for migration in migrations() if migration.number not in done]
        for i, migration in enumerate(pending):
            if migration.alone and not alone:
                _add_columns(client, pending[i:])
                return
            _apply(client, migration)
        for table, key in KEPT.items():
            _keep(client, table, int(getattr(keep, key)))
        _keep_personal(client, int(keep.keep_personal))


def migrations() -> list[Migration]:
    """All of them in order."""
    found = []
    for file in (files("conf") / "clickhouse").iterdir():
        if file.name.endswith(".sql"):
            text = file.read_text()
            bare = re.sub(r"^\s*--.*\n", "", text, flags=re.MULTILINE)
            statements = [statement.strip() for statement in bare.split(";") if statement.strip()]
            found.append(Migration(int(file.name[:3]), file.name, statements, text.startswith("-- alone\n")))
    return sorted(found)


def _add_columns(client: Client, later: list[Migration]) -> None:
    """Those that a range under way may need already; they are added once more with their migrations."""
    for migration in later:
        for statement in migration.statements:
            if statement.startswith("ALTER TABLE events ADD COLUMN IF NOT EXISTS"):
                client.command(statement)


def _apply(client: Client, migration: Migration) -> None:
    for statement in migration.statements:
        if migration.alone and (view := _VIEW.match(statement)):
            _fill(client, *view.groups())
        client.command(statement)
    client.command("INSERT INTO migrations (number, name) SELECT {n:UInt32}, {name:String}",
                   parameters={"n": migration.number, "name": migration.name})  # fmt: skip


def _fill(client: Client, table: str, select: str, source: str) -> None:
    """What a view would have put into a table, had it been there: a partition at a time, for each takes its time."""
    parts = "SELECT DISTINCT partition_id FROM system.parts WHERE database = currentDatabase() AND active"
    for (partition,) in client.query(f"{parts} AND table = {{t:String}} ORDER BY 1", {"t": source}).result_rows:
        client.command(f"INSERT INTO {table} {select} WHERE _partition_id = {{p:String}}", {"p": partition},
                       settings={"max_execution_time": "0", "max_partitions_per_insert_block": "0"})  # fmt: skip


def _keep(client: Client, table: str, seconds: int) -> None:
    """Change the TTL where it differs: the change has every part looked at again."""
    ttl = _ttl(seconds) if table == "events" else f"toDateTime(time) + toIntervalSecond({seconds})"
    if f"\nTTL {ttl}\n" not in _definition(client, table):
        client.command(f"ALTER TABLE {table} MODIFY TTL {ttl}")


def _keep_personal(client: Client, seconds: int) -> None:
    """The same for the columns that are emptied earlier."""
    ttl, definition = _ttl(seconds), _definition(client, "events")
    stale = [name for name in PERSONAL if not re.search(rf"\n *`{name}` .* TTL {re.escape(ttl)},\n", definition)]
    if stale:
        changes = ", ".join(f"MODIFY COLUMN {name} TTL {ttl}" for name in stale)
        client.command(f"ALTER TABLE events {changes}")


def _ttl(seconds: int) -> str:
    """The same moment for all rows of a day's part, which so is rewritten or dropped once and as a whole."""
    return f"toDateTime(toDate(time), 'UTC') + toIntervalSecond({seconds + 86_400})"


def _definition(client: Client, table: str) -> str:
    return str(client.query(f"SHOW CREATE TABLE {table}").result_rows[0][0]) + "\n"
