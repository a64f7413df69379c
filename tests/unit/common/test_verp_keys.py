"""The keys of return paths: made once, for one user's eyes, replaced without losing what is on its way."""

import stat
import time
from pathlib import Path

import pytest
from support import make_entry

from common.errors import CannotCreateError, ConfigError
from common.feedback import Feedback
from common.verp_keys import Keyring, key_file, rotate

SETTINGS, DAY = Feedback(domain="bounces.example.net"), 86_400


def test_made_once(tmp_path: Path) -> None:
    first = Keyring(SETTINGS, str(tmp_path / "var"))
    token = first.tokens().make(make_entry(), 0)
    assert Keyring(SETTINGS, str(tmp_path / "var")).tokens().read(token)
    [file] = (tmp_path / "var").iterdir()
    assert file == key_file(str(tmp_path / "var"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_from_the_configuration(tmp_path: Path) -> None:
    one, two = "11" * 32, "22" * 32
    token = Keyring(Feedback(secrets=[one]), str(tmp_path)).tokens().make(make_entry(), 0)
    assert Keyring(Feedback(secrets=[two, one]), str(tmp_path)).tokens().read(token)
    assert not Keyring(Feedback(secrets=[two]), str(tmp_path)).tokens().read(token)
    assert list(tmp_path.iterdir()) == []


def test_a_new_key_is_known_at_once_and_the_old_one_still_accepted(tmp_path: Path) -> None:
    folder, now = str(tmp_path), time.time()
    running = Keyring(SETTINGS, folder)
    old = running.tokens().make(make_entry(), now)
    assert rotate(folder, 60 * DAY, now) == 1
    new = Keyring(SETTINGS, folder).tokens().make(make_entry(), now)
    assert running.tokens().read(new)
    assert running.tokens().read(old)


def test_a_key_goes_when_its_mail_is_too_old(tmp_path: Path) -> None:
    folder, now = str(tmp_path), time.time()
    old = Keyring(SETTINGS, folder).tokens().make(make_entry(), now)
    assert rotate(folder, 60 * DAY, now) == 1
    assert rotate(folder, 60 * DAY, now + 59 * DAY) == 2  # the first was in use until a minute ago, 59 days ago
    assert Keyring(SETTINGS, folder).tokens().read(old)
    assert rotate(folder, 60 * DAY, now + 61 * DAY) == 2
    assert not Keyring(SETTINGS, folder).tokens().read(old)


@pytest.mark.parametrize("text", ["", "nonsense", "1 abcd", f"1 {'00' * 31}", f"x {'00' * 32}"])
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    key_file(str(tmp_path)).write_text(text)
    with pytest.raises(ConfigError, match=r"feedback\.key: no keys"):
        Keyring(SETTINGS, str(tmp_path))


def test_what_spoils_the_file_later_changes_nothing(tmp_path: Path) -> None:
    running = Keyring(SETTINGS, str(tmp_path))
    token = running.tokens().make(make_entry(), 0)
    key_file(str(tmp_path)).write_text("nonsense")
    assert running.tokens().read(token)
    key_file(str(tmp_path)).unlink()
    assert running.tokens().read(token)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotCreateError, match="feedback"):
        Keyring(SETTINGS, str(tmp_path / "file"))


@pytest.mark.parametrize("secret", ["", "x", "11" * 31, "11" * 31 + "1"])
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="openssl rand -hex 32") as raised:
        Feedback(secrets=[secret])
    assert secret not in str(raised.value).partition("[type=")[0] or len(secret) < 2
