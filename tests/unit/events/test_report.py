"""Reports over mail whose numbers were counted by hand, from the rollups and from the events."""

from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_support import FOR_EVER, ClickHouse
from report_support import HOUR, KNOWN, NOON, insert

from common.config import Events
from common.errors import UsageError
from events import report, schema
from events.report import MINUTE, Question
from events.store import Store

ALL = {"start": NOON, "end": NOON + 2 * HOUR}


@pytest.fixture(scope="module")
def known(clickhouse: ClickHouse) -> Iterator[Store]:
    """A database with the known mail, which nobody changes."""
    store = clickhouse.store()
    schema.migrate(store.client, FOR_EVER)
    insert(store, KNOWN)
    yield store
    store.close()


def ask(store: Store, name: str, **question: Any) -> list[dict[str, Any]]:
    return report.rows(store, report.prepare(report.find(name), Question(**ALL | question)))


def only(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def test_outcomes(known: Store) -> None:
    assert ask(known, "outcomes") == [
        {
            "provider": "google", "transactions": 7, "delivered": 4, "deferred": 2, "bounced": 1, "hard": 1,
            "expired": 0, "accepted_percent": 80.0, "deferred_percent": 28.57, "hard_percent": 20.0,
        },
        {
            "provider": "", "transactions": 1, "delivered": 0, "deferred": 1, "bounced": 0, "hard": 0,
            "expired": 1, "accepted_percent": 0.0, "deferred_percent": 100.0, "hard_percent": 0.0,
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("domain", [("gmail.example", 7, 4), ("small.example", 1, 0)]),
        ("pool", [("default", 7, 4), ("bulk", 1, 0)]),
        ("source_address", [("192.0.2.1", 7, 4), ("192.0.2.2", 1, 0)]),
        ("campaign", [("spring", 7, 4), ("", 1, 0)]),
        ("tag", [("spring", 7, 4), ("vip", 7, 4), ("", 1, 0)]),
        ("sender", [("Ann@News.example", 7, 4), ("bob@shop.example", 1, 0)]),
        ("sender_domain", [("news.example", 7, 4), ("shop.example", 1, 0)]),
        ("worker", [("default.0", 7, 4), ("bulk.0", 1, 0)]),
        ("site", [("google", 7, 4), ("mx.small.example", 1, 0)]),
        ("submission", [("s1", 4, 2), ("s2", 2, 1), ("s3", 1, 1), ("s4", 1, 0)]),
    ],
)
def test_outcomes_by_each(known: Store, by: str, expected: list[tuple[str, int, int]]) -> None:
    assert only(ask(known, "outcomes", by=by), by, "transactions", "delivered") == expected


def test_volume(known: Store) -> None:
    names = ("transactions", "delivered", "deferred", "bounced", "expired", "stopped")
    assert only(ask(known, "volume", step=HOUR), *names) == [(6, 3, 2, 1, 0, 0), (2, 1, 1, 0, 1, 0)]
    for raw in (False, True):  # whole range, so that an hour in which nothing was sent is seen at its end, too
        longer = ask(known, "volume", step=HOUR, start=NOON - 2 * HOUR, end=NOON + 4 * HOUR, raw=raw)
        assert [row["delivered"] for row in longer] == [0, 0, 3, 1, 0, 0]
    halves = ask(known, "volume", step=HOUR // 2)
    assert [row["start"].timestamp() for row in halves] == [NOON, NOON + 1800, NOON + 3600, NOON + 5400]
    assert only(halves, *names)[1] == (0, 0, 0, 0, 0, 0)  # a gap is seen


def test_latency(known: Store) -> None:
    [row] = ask(known, "latency")
    # 0.9, 0.9, 400, 400 seconds in the queue: buckets end at 2^0 and 2^(35/4), the half of four is reached by two
    assert row["queue_p50"] == pytest.approx(1)
    assert row["queue_p95"] == row["queue_p99"] == pytest.approx(2**8.75)
    # 0.1 twice; the others used a connection that was open
    assert row["connect_p50"] == row["connect_p99"] == pytest.approx(2 ** (-13 / 4))
    assert row["transfer_p50"] == pytest.approx(2 ** (7 / 4))
    # 1, 4, 401, 402
    assert (row["total_p50"], row["total_p95"]) == (pytest.approx(4), pytest.approx(2**8.75))
    assert row["delivered"] == 4


def test_no_latency(known: Store) -> None:
    [row] = ask(known, "latency", end=NOON + HOUR)  # in that hour nothing has a time of transfer
    assert row["delivered"] == 3
    assert row["transfer_p50"] != row["transfer_p50"]


def test_attempts(known: Store) -> None:
    first, second = ask(known, "attempts")
    assert only([first, second], "attempt", "delivered", "share_percent", "so_far_percent") == [
        (1, 2, 50.0, 50.0),
        (2, 2, 50.0, 100.0),
    ]
    assert (first["total_p50"], second["total_p50"]) == (pytest.approx(1), pytest.approx(2**8.75))


def test_reasons_that_differ_in_what_does_not_matter_are_one(known: Store) -> None:
    names = ("provider", "type", "code", "times", "domains", "said")
    assert only(ask(known, "reasons"), *names) == [
        ("google", "deferred", 451, 2, 1, "<address> greylisted for <n> seconds, <id> - gsmtp"),
        ("google", "bounced", 550, 1, 1, "No such user"),
        ("", "deferred", 451, 1, 1, "Try later"),
        ("", "expired", 0, 1, 1, "Try later"),
    ]


def test_classes(known: Store) -> None:
    names = ("bounce_class", "bounce_type", "failures", "deferred", "bounced", "share_percent")
    assert only(ask(known, "classes"), *names) == [
        ("greylisted", "soft", 2, 2, 0, 50.0),
        ("", "", 1, 1, 0, 25.0),
        ("invalid-recipient", "hard", 1, 0, 1, 25.0),
    ]


def test_tls(known: Store) -> None:
    names = ("provider", "delivered", "encrypted", "clear", "encrypted_percent", "tls13", "older")
    assert only(ask(known, "tls"), *names) == [("google", 4, 4, 0, 100.0, 4, 0)]


def test_feedback(known: Store) -> None:
    names = ("campaign", "delivered", "complaints", "complaints_per_thousand", "bounced_later")
    assert only(ask(known, "feedback", by="campaign"), *names) == [("spring", 4, 1, 250.0, 1)]


def test_intake(known: Store) -> None:
    names = ("interface", "submissions", "recipients", "bytes", "mean_bytes", "rejected")
    assert only(ask(known, "intake"), *names) == [("relay", 3, 5, 3000, 1000, 7), ("submission", 1, 1, 3000, 3000, 0)]


def test_rejections(known: Store) -> None:
    names = ("client_address", "phase", "code", "times", "said")
    said = "relaying denied for client [<ip>]"
    assert only(ask(known, "rejections"), *names) == [("198.51.100.1", "rcpt", 550, 7, said)]


def test_submissions(known: Store) -> None:
    names = ("submission", "interface", "client_address", "size", "recipients", "transactions", "successful", "failed",
             "undeliverable")  # fmt: skip
    assert only(ask(known, "submissions"), *names) == [
        ("s4", "submission", "192.0.2.8", 3000, 1, 1, 0, 1, 1),
        ("s3", "relay", "192.0.2.7", 1000, 1, 1, 1, 0, 0),
        ("s2", "relay", "192.0.2.7", 1000, 2, 2, 1, 1, 1),
        ("s1", "relay", "192.0.2.7", 1000, 2, 4, 2, 2, 0),
    ]
    assert only(ask(known, "submissions", limit=1, filters={"tag": ["vip"]}), "submission") == [("s3",)]
    # the tries of what was accepted in the range, also those behind it
    assert only(ask(known, "submissions", end=NOON + MINUTE), "submission", "successful") == [("s1", 2)]


@pytest.mark.parametrize("name", report.reports())
def test_rollups_and_events_give_the_same_numbers(known: Store, name: str) -> None:
    rollups = set()
    for by in report.find(name).by or ("",):
        for span in ({"step": HOUR}, {"step": MINUTE, "end": NOON + 7 * MINUTE, "filters": {"pool": ["default"]}}):
            question = {"by": by, **span}
            used = report.prepare(report.find(name), Question(**ALL | question)).source
            if not used.startswith("events"):
                rollups.add(used)
                assert str(ask(known, name, **question)) == str(ask(known, name, **question, raw=True)), (by, used)
    assert rollups or name in ("attempts", "reasons", "rejections", "submissions")


@pytest.mark.parametrize("name", report.reports())
def test_every_report_can_be_had_by_all_it_says_and_every_column_is_told_of(known: Store, name: str) -> None:
    chosen = report.find(name)
    for by in chosen.by or ("",):
        row = ask(known, name, by=by)[0]
        assert [column for column in row if column != by] == [c for c in chosen.columns if c != by]
        assert set(chosen.chart) <= set(row)
    assert chosen.title.endswith(".")
    assert len(chosen.title) <= 80
    assert all(chosen.columns.values())


def test_the_range_begins_with_its_start_and_ends_before_its_end(known: Store) -> None:
    minute = NOON + 2 * MINUTE
    for raw in (True, False):
        for start, end, found in ((minute, minute + 60, 2), (minute - 60, minute, 0), (minute + 60, minute + 120, 2)):
            rows = ask(known, "outcomes", start=start, end=end, raw=raw)
            assert sum(row["transactions"] for row in rows) == found
    assert ask(known, "outcomes", start=minute + 1, end=minute + 59) == []


@pytest.mark.parametrize(
    ("filters", "transactions"),
    [
        ({"domain": ["GMAIL.example"]}, 7),
        ({"domain": ["gmail.example", "small.example"]}, 8),
        ({"sender": ["ANN@news.example"]}, 7),
        ({"tag": ["vip", "spring"]}, 7),
        ({"campaign": [""]}, 1),
        ({"campaign": ["spring"], "pool": ["bulk"]}, 0),
        ({"provider": ["google"], "worker": ["default.0"], "interface": ["relay"]}, 7),
        ({"bounce_class": ["greylisted"]}, 2),
        ({"domain": ["') OR 1 --", "\\", "it's", "{x:UInt8}", "\t\n"]}, 0),
    ],
)
def test_filters(known: Store, filters: dict[str, list[str]], transactions: int) -> None:
    for raw in (True, False):
        rows = ask(known, "outcomes", by="pool", filters=filters, raw=raw)
        assert sum(row["transactions"] for row in rows) == transactions


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ({}, "traffic_by_hour"),
        ({"by": "domain"}, "domains_by_hour"),
        ({"by": "domain", "filters": {"provider": ["x"]}}, "domains_by_hour"),
        ({"by": "domain", "filters": {"campaign": ["x"]}}, "events_counted"),
        ({"end": NOON + 60}, "traffic_by_minute"),
        ({"by": "domain", "end": NOON + 60}, "domains_by_minute"),
        ({"end": NOON + 61}, "events_counted"),
        ({"by": "worker"}, "events_counted"),
        ({"filters": {"tag": ["x"]}}, "events_counted"),
        ({"by": "tag"}, "events_by_tag"),
        ({"raw": True}, "events_counted"),
    ],
)
def test_the_smallest_table_that_answers_exactly_is_asked(question: dict[str, Any], source: str) -> None:
    assert report.prepare(report.find("outcomes"), Question(**ALL | question)).source == source


def test_a_step_shorter_than_a_rollups_asks_a_finer_one() -> None:
    for step, source in ((HOUR, "traffic_by_hour"), (300, "traffic_by_minute"), (7, "events_counted")):
        assert report.prepare(report.find("volume"), Question(**ALL, step=step, limit=2000)).source == source


def test_what_is_not_known_is_told_with_the_remedy() -> None:
    for name, words in (("outcome", "did you mean 'outcomes'"), ("xyzzy", "there are attempts, ")):
        with pytest.raises(UsageError, match=words):
            report.find(name)
    with pytest.raises(UsageError, match="outcomes has no --by colour; there are provider, "):
        report.prepare(report.find("outcomes"), Question(**ALL, by="colour"))
    with pytest.raises(UsageError, match="submissions cannot tell by domain; what narrows it down: pool, "):
        report.prepare(report.find("submissions"), Question(**ALL, filters={"domain": ["x"]}))


def test_capitals_count_for_nothing_as_clickhouse_sees_them() -> None:
    filters = {"sender": ["ÄNN@News.example"], "domain": ["A.example"]}
    asked = report.prepare(report.find("outcomes"), Question(**ALL, filters=filters))
    assert (asked.parameters["sender"], asked.parameters["domain"]) == (["Änn@news.example"], ["a.example"])


def test_formats(known: Store) -> None:
    asked = report.prepare(report.find("volume"), Question(**ALL, step=HOUR))
    first, _ = report.exported(known, asked, "JSONEachRow").splitlines()
    assert first.startswith(b'{"start":"2026-09-21T12:00:00Z","transactions":6,')
    assert report.exported(known, asked, "CSVWithNames").splitlines()[0].startswith(b'"start","transactions",')
    assert report.exported(known, asked, "Parquet")[:4] == b"PAR1"


@pytest.mark.parametrize(
    ("name", "days", "by", "filters", "told"),
    [
        ("outcomes", 20, "sender", {}, ""),
        ("outcomes", 40, "sender", {}, "older than 30d may be missing: [events] keep_personal"),
        ("outcomes", 40, "pool", {"sender": ["a@a.test"]}, "older than 30d may be missing: [events] keep_personal"),
        ("reasons", 40, "provider", {}, "older than 30d may be missing: [events] keep_personal"),
        ("outcomes", 40, "worker", {}, ""),
        ("outcomes", 100, "worker", {}, "older than 90d may be missing: [events] keep"),
        ("outcomes", 100, "sender_domain", {}, ""),
        ("outcomes", 1099, "provider", {}, ""),
        ("outcomes", 1101, "provider", {}, "older than 1100d may be missing: [events] keep_hours"),
    ],
)
def test_what_is_not_kept_any_more_is_told(
    name: str, days: int, by: str, filters: dict[str, list[str]], told: str
) -> None:
    end = 500_000 * HOUR
    question = Question(start=end - days * 86400, end=end, by=by, filters=filters)
    asked = report.prepare(report.find(name), question)
    assert report.missing(report.find(name), question, asked, Events(), end).endswith(told)
    assert bool(told) == bool(report.missing(report.find(name), question, asked, Events(), end))


def test_steps_that_would_be_left_out_are_told() -> None:
    volume = report.find("volume")
    question = Question(start=0, end=7 * 86400, step=MINUTE)
    with pytest.raises(UsageError, match="volume has 1000 lines at most: a longer --step, or --limit 10081"):
        report.prepare(volume, question)
    asked = report.prepare(volume, Question(start=0, end=7 * 86400, step=MINUTE, limit=10_081))
    assert asked.parameters["limit"] == 10_081
    assert report.prepare(volume, Question(start=0, end=1000 * MINUTE, step=MINUTE)).parameters["limit"] == 1000
