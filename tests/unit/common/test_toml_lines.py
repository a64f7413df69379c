import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.toml_lines import array_lines


def test_lines_of_headers() -> None:
    text = "a = 1\n[[policies]]\nx = 1\n\n [[ policies ]]  # second\n[other]\n[[\"policies\"]]\n[[listeners]]\n"
    assert array_lines(text) == {"policies": [2, 5, 7], "listeners": [8]}


@pytest.mark.parametrize(
    "inside",
    ['x = """\n[[policies]]\n"""', "x = '''\n[[policies]]\n'''", 'x = [\n["policies"]\n]', "x = [\n[[1]]\n]"],
)
def test_what_only_looks_like_a_header(inside: str) -> None:
    text = f"[[policies]]\n{inside}\n[[policies]]\ny = 1\n"
    assert array_lines(text) == {"policies": [1, 2 + inside.count("\n") + 1]}


_values = st.sampled_from(['"x"', '"""\n[[a]]\n"""', "[\n[1],\n[2]\n]", "'[[b]]'", "1  # [[a]]", '"\u2028"'])


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), _values), max_size=8))
def test_every_table_is_found_at_its_header(tables: list[tuple[str, str]]) -> None:
    text = "".join(f"[[{name}]]\nx = {value}\n" for name, value in tables)
    found = array_lines(text)
    parsed = tomllib.loads(text)
    assert {name: len(lines) for name, lines in found.items()} == {name: len(list_) for name, list_ in parsed.items()}
    lines = text.split("\n")
    assert all(lines[number - 1] == f"[[{name}]]" for name, numbers in found.items() for number in numbers)
