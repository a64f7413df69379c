"""What Grafana makes of a dashboard's query before its ClickHouse plugin sends it."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

FOLDER = files("conf") / "grafana"


def dashboards() -> dict[str, Any]:
    """Each by the name of its file."""
    return {file.name: json.loads(file.read_text()) for file in sorted((FOLDER / "dashboards").iterdir(), key=str)}


def queries() -> Iterator[tuple[str, str]]:
    """Dashboard and panel or variable, and its query."""
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["rawSql"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{name}: {variable['name']}", variable["query"]


def expanded(query: str, start: int, end: int, variables: Mapping[str, list[str]], interval: int = 60) -> str:
    """Macros and variables of the ClickHouse data source written out.

    A variable without a value stands for all, and so does one whose value is empty.
    """

    def conditional(match: re.Match[str]) -> str:
        return match[1] if any(variables.get(match[2], [])) else "1=1"

    def quoted(match: re.Match[str]) -> str:
        quote = {"singlequote": "\\'", "sqlstring": "''"}[match[2]]
        return ",".join("'" + value.replace("'", quote) + "'" for value in variables.get(match[1], [""]))

    def window(match: re.Match[str]) -> str:
        first, last = f"toDateTime({start})", f"toDateTime({end})"
        if match[1]:
            first, last = (f"fromUnixTimestamp64Milli({1000 * moment})" for moment in (start, end))
        return f"{match[2]} >= {first} AND {match[2]} <= {last}"

    query = re.sub(r"\$__conditionalAll\((.*), \$(\w+)\)", conditional, query)
    query = re.sub(r"\$\{(\w+):(singlequote|sqlstring)\}", quoted, query)
    query = re.sub(r"\$__timeFilter(_ms)?\(([^)]+)\)", window, query)
    start_of = rf"toStartOfInterval(toDateTime(\1), INTERVAL {interval} second)"
    query = re.sub(r"\$__timeInterval\(([^)]+)\)", start_of, query)
    assert "$" not in query.replace("$$", ""), query
    return query
