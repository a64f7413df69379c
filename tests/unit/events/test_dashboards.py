"""Every query of every dashboard runs, and gives the numbers that were counted by hand."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grafana_support
import pytest
from clickhouse_support import FOR_EVER, ClickHouse
from report_support import HOUR, KNOWN, NOON, insert

from events import report, schema
from events.report import Question
from events.store import Store

QUERIES = dict(grafana_support.queries())
#: What the plugin shows: rows of a table, or a column ``time`` with at most one column of names and values.
SERIES = {
    f"{name}: {panel['title']}"
    for name, dashboard in grafana_support.dashboards().items()
    for panel in dashboard["panels"]
    if panel["targets"][0]["format"] == 0
}


@pytest.fixture(scope="module")
def known(clickhouse: ClickHouse) -> Iterator[Store]:
    """A database with the known mail, which nobody changes."""
    store = clickhouse.store()
    schema.migrate(store.client, FOR_EVER)
    insert(store, KNOWN)
    yield store
    store.close()


def ask(store: Store, name: str, **variables: list[str]) -> list[dict[str, Any]]:
    """As Grafana asks: a table for the range, as a user who may only read."""
    query = grafana_support.expanded(QUERIES[name], NOON, NOON + 2 * HOUR, variables, interval=HOUR)
    return list(store.client.query(query, settings={"readonly": "1"}).named_results())


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_runs(known: Store, name: str) -> None:
    some = {"pool": ["default"], "provider": ["google", "it's"], "campaign": ["spring", "-"], "search": ["s1"]}
    for variables in ({"search": ["s1"]}, some):
        rows = ask(known, name, **variables)
        assert rows
        if name in SERIES:
            assert next(iter(rows[0])) == "time"
            assert sum(isinstance(value, str) for value in rows[0].values()) <= 1


def test_the_numbers(known: Store) -> None:
    volume = ask(known, "deliverability.json: Volume by result")
    assert [tuple(row.values())[1:] for row in volume] == [(3, 2, 1, 0), (1, 1, 0, 1)]
    kinds = ("Accepted", "Deferred", "Hard bounces")
    rates = {name: ask(known, f"deliverability.json: {name}, by provider") for name in kinds}
    assert [(row["of_provider"], row["accepted"]) for row in rates["Accepted"]] == [
        ("google", 75.0), ("google", 100.0), ("others", 0.0),
    ]  # fmt: skip
    assert [row["deferred"] for row in rates["Deferred"]] == [pytest.approx(100 / 3), 0.0, 100.0]
    assert [row["hard"] for row in rates["Hard bounces"]] == [25.0, 0.0, 0.0]
    [spring, none] = ask(known, "deliverability.json: By campaign")
    assert (spring["Campaign"], spring["transactions"], spring["complaints"]) == ("spring", 7, 1)
    assert (spring["complaints_per_thousand"], none["Campaign"]) == (250.0, "-")
    assert [row["complaints"] for row in ask(known, "deliverability.json: Complaints, by provider")] == [1]
    assert (none["accepted_percent"], none["deferred_percent"]) == (0.0, 100.0)
    reason, *_ = ask(known, "deliverability.json: Top reasons of deferrals")
    assert (reason["times"], reason["reason"]) == (2, "<address> greylisted for <n> seconds, <id> - gsmtp")
    tries = ask(known, "deliverability.json: Tries to delivery")
    assert [(row["attempt"], row["delivered"]) for row in tries] == [("1", 2), ("2", 2)]
    delivered = ask(known, "deliverability.json: Time to delivery")
    assert delivered[1]["p50"] == delivered[1]["p99"] == pytest.approx(4)
    assert len(ask(known, "mail.json: What happened", search=["R@gmail.example"])) == 10
    assert len(ask(known, "mail.json: What happened", search=["s1-1"])) == 2
    assert ask(known, "mail.json: What happened", search=[""]) == []  # not everything that has no recipient


def test_what_has_no_name_can_be_chosen(known: Store) -> None:
    """An empty value would stand for all; and a value is offered wherever it is shown."""
    for name, nameless in (("provider", "others"), ("campaign", "-")):
        offered = [row["value"] for row in ask(known, f"deliverability.json: {name}")]
        shown = [row[name.title()] for row in ask(known, f"deliverability.json: By {name}")]
        assert set(shown) <= set(offered)
        assert "" not in offered
        [only] = ask(known, f"deliverability.json: By {name}", **{name: [nameless]})
        assert (only[name.title()], only["transactions"]) == (nameless, 1)


def test_where_nothing_was_sent_there_is_no_line(known: Store) -> None:
    """Of refusals, intake and orders, which have no provider and no source address."""
    sources = ask(known, "deliverability.json: By source address and pool")
    assert [(row["Pool"], row["Source"], row["complaints"]) for row in sources] == [
        ("default", "192.0.2.1", 1), ("bulk", "192.0.2.2", 0),
    ]  # fmt: skip


def test_a_dashboard_and_a_report_agree(known: Store) -> None:
    asked = report.prepare(report.find("outcomes"), Question(start=NOON, end=NOON + 2 * HOUR, by="provider"))
    names = ("transactions", "delivered", "accepted_percent", "deferred_percent", "hard_percent")
    told = [(row["provider"] or "others", *(row[name] for name in names)) for row in report.rows(known, asked)]
    drawn = [
        (row["Provider"], *(round(value, 2) if isinstance(value := row[name], float) else value for name in names))
        for row in ask(known, "deliverability.json: By provider")
    ]
    assert drawn == told


def test_what_is_asked_for_is_narrowed_down(known: Store) -> None:
    assert [row["Provider"] for row in ask(known, "deliverability.json: By provider", pool=["bulk"])] == ["others"]
    assert ask(known, "deliverability.json: By provider", pool=["') OR ('1'='1"]) == []


def test_panels_have_the_data_source_that_is_chosen() -> None:
    for dashboard in grafana_support.dashboards().values():
        chosen = {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"}
        assert dashboard["templating"]["list"][0]["query"] == chosen["type"]
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        assert all(panel["datasource"] == panel["targets"][0]["datasource"] == chosen for panel in panels)


def test_the_page_of_clickhouse_itself(store: Store) -> None:
    """``/dashboard`` sends each row's query with two parameters, as whatever user is given."""
    shift = time.time() // HOUR * HOUR - HOUR - NOON
    insert(store, [replace(event, time=event.time + shift - HOUR) for event in KNOWN])
    charts = store.query("SELECT dashboard, title, query FROM dashboards", {})
    assert len(charts) >= 10
    assert {chart["dashboard"] for chart in charts} == {"Mail"}
    answers = {}
    for chart in charts:
        parameters = {"rounding": HOUR, "seconds": 4 * HOUR}
        result = store.client.query(chart["query"], parameters, settings={"readonly": "1"})
        assert result.column_names[0] == "t"
        assert isinstance(result.result_rows[0][0], int)
        answers[chart["title"]] = [row[1:] for row in result.result_rows]
    assert answers["Tries by outcome"] == [(3, 2, 1, 0), (1, 1, 0, 1)]
    assert answers["Accepted, of deliveries that ended (%)"] == [(75.0,), (50.0,)]
    assert answers["Taken in, recipients"] == [(4,), (2,)]
    assert answers["Refused at the door"] == [(7,)]
    assert answers["Tries to a delivery, on average"] == [(pytest.approx(5 / 3),), (1.0,)]
    assert answers["Complaints"] == [(1,)]
    raw = store.client.raw_query(charts[0]["query"], parameters, fmt="JSONColumnsWithMetadata")
    assert json.loads(raw)["data"]["delivered"] == [3, 1]
