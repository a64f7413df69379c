import errno
import socket

import pytest

from common.config import Listener
from common.errors import CannotCreateError, ConfigError, UnavailableError
from smtpd_ingress.listener import _explained, bind


def test_a_port_is_shared_with_our_own_kind_only() -> None:
    with bind(Listener(bind="127.0.0.1:0")) as first:
        port = first.getsockname()[1]
        with bind(Listener(bind=f"127.0.0.1:{port}")) as second:
            assert second.getsockname() == first.getsockname()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"listener 'mx': 127.0.0.1:{port} is taken"):
            bind(Listener(name="mx", bind=f"127.0.0.1:{port}"))


def test_an_address_of_somebody_else() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:2525: "):
        bind(Listener(bind="192.0.2.1:2525"))


def test_not_permitted() -> None:
    error = _explained(Listener(bind="127.0.0.1:25"), PermissionError(errno.EACCES, "Permission denied"))
    assert isinstance(error, CannotCreateError)
    assert "CAP_NET_BIND_SERVICE" in str(error)
