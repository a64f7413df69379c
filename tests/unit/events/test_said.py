"""What a reply says without what differs from one recipient, message and moment to the next."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import pytest
from clickhouse_support import ClickHouse
from hypothesis import given, settings
from hypothesis import strategies as st

from events.store import Store

CORPUS = Path(os.environ.get("POSTJET_CORPORA", "/work/shared/corpora")) / "replies/replies.jsonl"
#: As the view has it; what the view makes of recorded replies is in test_report.py.
_VIEWS = (files("conf") / "clickhouse/005_reports.sql").read_text()
[_, _SAID, _] = re.split(r"(trim\(.*\)) AS said\n", _VIEWS, flags=re.DOTALL)
_QUERY = f"""SELECT {_SAID} AS said FROM
    (SELECT arrayJoin({{texts:Array(String)}}) AS text, {{domain:String}} AS domain, {{mx_host:String}} AS mx_host)"""


@pytest.fixture(scope="module")
def database(clickhouse: ClickHouse) -> Iterator[Store]:
    store = clickhouse.store()
    yield store
    store.close()


def said(store: Store, texts: Sequence[str], domain: str = "", mx_host: str = "") -> list[str]:
    """What is made of texts, in their order."""
    parameters = {"texts": list(texts), "domain": domain, "mx_host": mx_host}
    return [row["said"] for row in store.query(_QUERY, parameters)]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (
            [
                "5.1.1 <jo@a.example>: Recipient address rejected: User unknown",
                "550 5.1.1 <Ann.O'Hara+x=y@b.co.example>: Recipient address rejected: User unknown",
                "5.1.1  jörg@münchen.example:\tRecipient address rejected: User unknown",
                '5.1.1 <"odd one"@[192.0.2.1]>: Recipient address rejected: User unknown',
                "5.1.1 <hashed:9762a336cee6933f2ef9a1e3552a2a32>: Recipient address rejected: User unknown",
            ],
            "<address>: Recipient address rejected: User unknown",
        ),
        (
            [
                "4.7.28 unusual rate from address [192.0.2.1      19]. d9443c01a7336-1fb0cb5d1a2si12345ad.1 - gsmtp",
                "4.7.28 unusual rate from address [2001:db8::7      19]. r7si1238383pli.26 - gsmtp",
                "4.7.28 unusual rate from address [192.0.2.200]. c2-20020a05622a1a8200b0 - gsmtp",
            ],
            "unusual rate from address [<ip>]. <id> - gsmtp",
        ),
        (
            [
                "(S775) [DB5EUR03FT043.eop-EUR03.prod.outlook.com 2024-05-01T10:10:10.123Z 08DC6A6F2C9F3D0B]",
                "(S775) [AM7EUR06FT012.eop-eur06.prod.outlook.com 2025-11-21T23:59:59.000Z GLXTWVLGZHZNHVXY]",
            ],
            "(S775) [<host>.prod.outlook.com <time> <id>]",
        ),
        (
            [
                "Message rejected on 2023/11/23 18:59:46 GMT, see id=20025-09",
                "Message rejected on 2024/01/03 08:00:00 GMT, see id=1234567-1",
            ],
            "Message rejected on <time> GMT, see id=<id>",
        ),
        (
            [
                "flpd594 DNSBL:RBL 521< 192.0.2.1 >_is_blocked. Ref: 1C84A2F3D4",
                "flph825 DNSBL:RBL 521< 192.0.2.2 >_is_blocked. Ref: ADAFD194EF",
            ],
            "<id> DNSBL:RBL 521< <ip> >_is_blocked. Ref: <id>",
        ),
        (
            ["Greylisted for 300 seconds", "Greylisted for 7 seconds"],
            "Greylisted for <n> seconds",
        ),
        (
            [
                "queued message 1abCDe-0001Xy-2D refused by mta1082.mail.bf1.yahoo.example",
                "queued message 1tQx7u-000000012Ab-0kLm refused by mta7.mail.ne1.yahoo.example",
                "queued message 4BcD1x2Zz9z refused by mta7.yahoo.example",
            ],
            "queued message <id> refused by <host>.yahoo.example",
        ),
        (["see https://x.example/?e=jo%40a.example&ip=192.0.2.1"], "see https://x.example/?<address>&ip=<ip>"),
        (["no such user 550-5.1.1 here 550 5.1.1 at all"], "no such user here at all"),
    ],
)
def test_the_same_reply_counts_as_one(database: Store, texts: list[str], expected: str) -> None:
    assert set(said(database, texts)) == {expected}


@pytest.mark.parametrize(
    "text",
    [
        "Server temporarily unavailable. Try again later. IB101",
        "Server temporarily unavailable. Try again later. IB102",
        "[TSS04] Messages temporarily deferred",
        "[TSS09] Messages temporarily deferred",
        "on our block list (S3140)",
        "on our block list (S3150)",
        "see https://help.example/kb/SLN5070.html",
        "see https://help.example/kb/SLN3434.html",
        "LPN004_401",
        "blocked using zen.spamhaus.org",
        "RFC 5321 says no",
        "RFC 5322 says no",
        "maximum of 50 hops",
    ],
)
def test_what_tells_reasons_apart_stays(database: Store, text: str) -> None:
    assert said(database, [text]) == [text]


def test_the_rows_own_domain_and_host_are_taken_out(database: Store) -> None:
    texts = ["to mx.a.example[192.0.2.1]:25: timed out", "u@a.example: a.example, mail9.a.example, mx.a.example"]
    assert said(database, texts, "a.example", "mx.a.example") == [
        "to <host>[<ip>]:25: timed out",
        "<address>: <domain>, <host>.<domain>, <host>",
    ]


_addresses = st.from_regex(r"[a-z][a-z0-9.+_'=-]{0,20}@[a-z][a-z0-9-]{0,10}(\.[a-z]{2,6}){1,2}", fullmatch=True)
_ips = st.ip_addresses().filter(int).map(str)
_queue_ids = st.from_regex(r"[0-9A-F]{10,12}|[a-z][0-9]{2}si[0-9]{6,9}[a-z]{3}\.[0-9]{1,3}", fullmatch=True)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(_addresses, _ips, _queue_ids, st.integers(0, 99_999)), min_size=2, max_size=10))
def test_whatever_stands_in_a_reply_it_is_the_same(
    database: Store, values: list[tuple[str, str, str, int]]
) -> None:
    texts = [f"4.7.1 <{a}> from {ip}: try again in {n} seconds ({id})" for a, ip, id, n in values if len(set(id)) > 3]
    assert set(said(database, texts)) <= {"<address> from <ip>: try again in <n> seconds (<id>)"}


_odd = st.text(st.sampled_from("ab1.@<>[]()-_:=%40 25\t'\"ü/\\?&é") | st.characters(codec="utf-8"), max_size=60)


@settings(max_examples=15, deadline=None)
@given(st.lists(_odd, min_size=1, max_size=20))
def test_any_text_is_taken_and_said_once_stays_said(database: Store, texts: list[str]) -> None:
    once = said(database, texts)
    assert len(once) == len(texts)
    twice = said(database, once)
    assert said(database, twice) == twice


@pytest.mark.skipif(not CORPUS.exists(), reason=f"no {CORPUS}; set POSTJET_CORPORA")
def test_real_replies(database: Store) -> None:
    """Of real replies no two of different classes become one, and no address is left."""
    rows = [json.loads(line) for line in CORPUS.read_text().splitlines()]
    found = said(database, [row["text"] for row in rows])
    assert len(set(found)) < len({row["text"] for row in rows}) - 15
    assert not [text for text in found if "@" in text]
    classes = defaultdict(set)
    for row, text in zip(rows, found, strict=True):
        code = re.match(r"(?:\d{3}[ -])?(?:\d\.\d+\.\d+)?", row["text"])  # a column of its own
        if row["coarse"] not in ("ambiguous", "unmapped"):
            classes[code and code[0], text].add((row["coarse"], re.sub(r"\S*@\S+", "@", row["text"])))
    for text, pairs in classes.items():  # where one reply has several labels, we merged nothing
        assert len({label for label, _ in pairs}) == 1 or len({original for _, original in pairs}) == 1, text
