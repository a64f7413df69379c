"""``postjet classify``: what kind of refusal some words are, and which words no rule knows."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from common import config_file
from common.classify import check
from common.classify.classifier import Classifier, Verdict
from common.classify.reading import classifier
from common.errors import UsageError
from common.policies import reading
from common.units import parse_duration
from events.unclassified import unclassified
from master.story_commands import open_store
from master.tables import aligned, print_json

app = typer.Typer(rich_markup_mode=None)

@app.command()
def classify(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="a reply, or what a report says; else standard input, "
                                        "one a line")] = "",
    code: Annotated[int, typer.Option(help="reply code; else looked for in the text")] = 0,
    provider: Annotated[str, typer.Option(help="who said it: a name of [[providers]]")] = "",
    phase: Annotated[str, typer.Option(help="when: banner, ehlo, mail, rcpt, data, dot …")] = "",
    unknown: Annotated[bool, typer.Option("--unknown", help="list what no rule knew")] = False,
    since: Annotated[str, typer.Option(help="with --unknown: how far back")] = "30d",
    rules: Annotated[bool, typer.Option("--rules", help="list the rules: how many of all samples each is for")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs; of standard input an object a line")] = False,
) -> None:
    """Tell what kind of refusal it is: class, hard or soft, and the rule with its file and line."""
    config, file = config_file.load(context.obj)
    found = classifier(reading.of_config(config, file).classes)
    if unknown:
        _list(_unknown(context.obj, found, since), as_json, "Nothing: every refusal has a class")
    elif rules:
        _list([_reach(one) for one in check.reach(found)], as_json, "No rules")
    elif text:
        verdict = found.classify(code, "", text, provider=provider, reported=phase)
        if as_json:
            print_json(_row(verdict))
        else:
            print(_line(verdict))
            as_answer = found.classify(code, "", text, provider=provider, reported=phase or "rcpt")
            if verdict.bounce_type != as_answer.bounce_type:
                print("hard as the answer to RCPT (--phase rcpt)")
    else:
        _each_line(found, code, phase, provider, as_json)


def _each_line(found: Classifier, code: int, phase: str, provider: str, as_json: bool) -> None:
    for line in sys.stdin:
        if words := line.strip():
            verdict = found.classify(code, "", words, provider=provider, reported=phase)
            print(json.dumps(_row(verdict) | {"text": words}) if as_json else f"{_line(verdict)}  {words}")


def _row(verdict: Verdict) -> dict[str, Any]:
    return {
        "class": verdict.bounce_class, "type": verdict.bounce_type, "rule": verdict.rule, "origin": verdict.origin,
        "permanent": verdict.permanent,
    }  # fmt: skip


def _line(verdict: Verdict) -> str:
    rule = f"{verdict.rule} ({verdict.origin})" if verdict.rule else "no rule"
    return f"{verdict.bounce_class}  {verdict.bounce_type}  {rule}"


def _reach(one: check.Reach) -> dict[str, Any]:
    rule = one.written.rule
    return {
        "rule": rule.name, "class": rule.class_, "samples": len(rule.samples), "matches": one.matches,
        "decides": one.decides, "origin": one.written.origin,
    }  # fmt: skip


def _unknown(config: str | None, found: Classifier, since: str) -> list[dict[str, Any]]:
    try:
        seconds = parse_duration(since)
    except ValueError as error:
        raise UsageError(f"--since: {error}") from None
    store, _ = open_store(config)
    return [asdict(one) for one in unclassified(store, seconds, found)]


def _list(rows: list[dict[str, Any]], as_json: bool, nothing: str) -> None:
    if as_json:
        print_json(rows)
    elif rows:
        shown = [{name: str(value or "") for name, value in row.items() if name != "example"} for row in rows]
        print("\n".join(aligned([list(shown[0]), *(list(row.values()) for row in shown)])))
    else:
        print(nothing)
