"""``python -m tests.corpora``: how well is read what others have labelled; ``--misses`` tells what is wrong."""

import sys

from tests.corpora import autoreply, bounces, replies
from tests.corpora.place import corpora


def main() -> None:
    """Print the tables of all corpora that are there."""
    folder = corpora()
    misses = "--misses" in sys.argv
    sisimai = folder / "bounces/sisimai"
    if (sisimai / "expected.jsonl").exists():
        print("\n".join(bounces.table(sisimai)))
        if misses:
            print("\n".join(bounces.score(sisimai, bounces.labels(sisimai)).wrong))
    else:
        print(f"bounces: skipped, {sisimai} is not there (POSTJET_CORPORA names the folder of corpora)")
    if (folder / "autoreply/cases.jsonl").exists():
        print("\n".join(autoreply.table(folder)))
        if misses:
            print("\n".join(autoreply.score(folder).wrong))
    else:
        print(f"autoreply: skipped, {folder / 'autoreply'} is not there")
    if replies.FILE.exists():
        print("\n".join(replies.table()))
    else:
        print(f"replies: skipped, {replies.FILE} is not there")


main()
