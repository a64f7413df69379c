"""Users as tests need them; hashing takes its time, so the same password is hashed once."""

from functools import lru_cache

from common.users.credentials import hashed
from common.users.user import User

PASSWORD = "correct horse"


@lru_cache
def _hashed(password: str) -> dict[str, str]:
    return hashed(password)


def user(name: str = "tim", password: str = PASSWORD, **values: object) -> User:
    return User.model_validate({"name": name, **_hashed(password), **values})
