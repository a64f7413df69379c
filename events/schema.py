"""The tables: numbered migrations in ``conf/clickhouse``, and how long rows are kept.

Several processes may migrate at the same time: every statement of a migration does no harm when repeated.
"""

import re
from importlib.resources import files

from clickhouse_connect.driver.client import Client

from events.store import translated

_MIGRATIONS = """CREATE TABLE IF NOT EXISTS migrations
(number UInt32, name String, applied DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = ReplacingMergeTree(applied) ORDER BY number"""

#: What is kept for ``[events] keep``, and the column that tells its age.
_KEPT = {"events": "time", "events_by_minute": "minute", "events_set_aside": "time"}


def migrate(client: Client, keep_seconds: float) -> None:
    """Bring the database up to date. Raises NotReachableError or RefusedError."""
    with translated():
        client.command(_MIGRATIONS)
        done = {row[0] for row in client.query("SELECT DISTINCT number FROM migrations").result_rows}
        for number, name, statements in migrations():
            if number in done:
                continue
            for statement in statements:
                client.command(statement)
            client.command("INSERT INTO migrations (number, name) SELECT {n:UInt32}, {name:String}",
                           parameters={"n": number, "name": name})  # fmt: skip
        for table, time in _KEPT.items():
            _keep(client, table, time, int(keep_seconds))


def migrations() -> list[tuple[int, str, list[str]]]:
    """Number, file name and statements of each, in order."""
    found = []
    for file in (files("conf") / "clickhouse").iterdir():
        if file.name.endswith(".sql"):
            text = re.sub(r"^\s*--.*\n", "", file.read_text(), flags=re.MULTILINE)
            statements = [statement.strip() for statement in text.split(";") if statement.strip()]
            found.append((int(file.name[:3]), file.name, statements))
    return sorted(found)


def _keep(client: Client, table: str, time: str, seconds: int) -> None:
    """Change the TTL where it differs: the change has every part looked at again."""
    ttl = f"toDateTime({time}) + toIntervalSecond({seconds})"
    if f"TTL {ttl}\n" not in client.query(f"SHOW CREATE TABLE {table}").result_rows[0][0] + "\n":
        client.command(f"ALTER TABLE {table} MODIFY TTL {ttl}")
