"""What a user is, what it may do, and what is told of one."""

import json

import pytest
from pydantic import ValidationError
from users_support import PASSWORD, user

from common.users import credentials
from common.users.credentials import ITERATIONS, Verifier, generated, hashed, is_right, no_hash, no_verifier, unusable
from common.users.user import User, user_name


@pytest.mark.parametrize("name", ["tim", "app@example.com", "a.b_c+d-e", "Müller", "x" * 128])
def test_names(name: str) -> None:
    assert user_name(name) == name
    assert user(name).name == name


@pytest.mark.parametrize("name", ["", "-x", "a b", "a,b", "a\nb", "a\x1bb", "x" * 129, "a/b", "<a>", "\u200b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a user"):
        user_name(name)


@pytest.mark.parametrize(
    ("allowed", "sender", "may"),
    [
        ("*", "a@b.example", True),
        ("*", "", True),
        ("@b.example", "", True),  # RFC 5321 4.5.5
        ("a@b.example", "a@b.example", True),
        ("a@B.Example", "a@b.example", True),
        ("a@b.example", "A@b.example", False),
        ("a@b.example", "x@b.example", False),
        ("@b.example", "x@b.example", True),
        ("@b.example", "x@c.b.example", False),
        ("@b.example", "x@xb.example", False),
        ("@*.b.example", "x@c.b.example", True),
        ("@*.b.example", "x@d.c.b.example", True),
        ("@*.b.example", "x@b.example", False),
        ("@*.b.example", "x@xb.example", False),
        ("@bücher.example", "x@xn--bcher-kva.example", True),
        ('"a@b"@c.example', '"a@b"@c.example', True),
        ("@b.example", '"x@b.example"@c.example', False),
    ],
)
def test_senders(allowed: str, sender: str, may: bool) -> None:
    assert user(senders=["other@other.example", allowed]).may_send_as(sender) is may


@pytest.mark.parametrize("sender", ["", "b.example", "@", "@*", "a@*.b.example", "a b@c.example", "@b_c.example"])
def test_senders_that_are_none(sender: str) -> None:
    with pytest.raises(ValidationError, match=r"write a@example\.com, @example\.com, @\*\.example\.com or \*"):
        user(senders=[sender])


def test_pools() -> None:
    assert user().may_use("bulk")
    assert user(pools="bulk").may_use("bulk")
    assert not user(pools=["bulk"]).may_use("default")
    with pytest.raises(ValidationError, match="pool 'default' is none of this user's pools: bulk"):
        user(pools=["bulk"], options={"pool": "default"})


@pytest.mark.parametrize(
    "wrong", [{"password_hash": "x"}, {"scram": "x"}, {"rate": "5"}, {"quota": -1}, {"senders": []}, {"color": "red"}]
)
def test_what_is_no_user(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        User.model_validate({**user().stored(), **wrong})


def test_the_stored_form_gives_the_user_back() -> None:
    tim = user(senders="@a.example", pools=["bulk"], options={"tag": ["a", "b"]}, rate=["100/m", "5/10s"], quota=7)
    stored = json.dumps(tim.stored())
    assert User.model_validate(json.loads(stored)) == tim
    assert PASSWORD not in stored


def test_what_is_shown_has_no_secret() -> None:
    tim = user(rate="100/m")
    assert tim.shown() == {
        "name": "tim", "senders": ["*"], "pools": ["*"], "options": {}, "rate": ["100/m"], "quota": 0,
    }  # fmt: skip
    assert "argon2" not in repr(tim)
    assert "SCRAM" not in repr(tim)


def test_hashed() -> None:
    one, another = hashed("pass\u00a0word"), hashed("pass\u00a0word")
    assert one != another  # salts
    assert is_right(one["password_hash"], "pass word")
    assert not is_right(one["password_hash"], "password")
    assert not is_right(no_hash(), "pass word")
    assert not is_right("nonsense", "pass word")
    verifier = Verifier.unpack(one["scram"])
    assert verifier == credentials.verifier("pass word", verifier.salt, ITERATIONS)


@pytest.mark.parametrize("password", ["", "a\x07b", "x" * 257])
def test_passwords_that_cannot_be(password: str) -> None:
    with pytest.raises(ValueError, match="password") as error:
        hashed(password)
    assert not password or password not in str(error.value)


def test_an_unknown_name_has_always_the_same_verifier() -> None:
    assert no_verifier("tim", b"s") == no_verifier("tim", b"s")
    assert no_verifier("tim", b"s") != no_verifier("tom", b"s")
    assert no_verifier("tim", b"s").salt != no_verifier("tim", b"t").salt
    assert len(no_verifier("tim", b"s").salt) == len(user().verifier.salt)
    assert no_verifier("tim", b"s").iterations == user().verifier.iterations


def test_unusable() -> None:
    assert User.model_validate({"name": "tim", **unusable()}).verifier.iterations == ITERATIONS


def test_generated() -> None:
    assert generated() != generated()
    assert len(generated()) == 26
