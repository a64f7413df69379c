"""The key of hashed recipients: made once, for its owner's eyes, by whoever is first."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.errors import CannotCreateError, ConfigError
from common.recipients import key_file, make_key, read_key


def test_made_once(tmp_path: Path) -> None:
    assert read_key(str(tmp_path)) is None
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(make_key, [str(tmp_path)] * 16))
    assert keys == {read_key(str(tmp_path))}
    assert len(keys.pop()) == 32
    assert key_file(str(tmp_path)).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["recipients.key"]


@pytest.mark.parametrize("text", ["", "00ff", "no hexadecimal digits"])
def test_a_key_that_is_none_is_never_replaced(tmp_path: Path, text: str) -> None:
    key_file(str(tmp_path)).write_text(text)
    with pytest.raises(ConfigError, match="put back the one that was there"):
        make_key(str(tmp_path))
    assert key_file(str(tmp_path)).read_text() == text


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CannotCreateError, match="cannot be written"):
        make_key(str(tmp_path / "none"))
