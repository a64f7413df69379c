"""[[webhooks]]: what may stand there, and what is said of what may not."""

from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from common import config_text
from common.config_file import load
from common.errors import ConfigError
from common.webhook import new_secret

SECRET = new_secret()
LEAST = f"""
[[webhooks]]
name = "crm"
url = "https://crm.example.com/hooks"
secrets = ["{SECRET}"]
"""


def read(folder: Path, text: str) -> Any:
    (folder / "postjet.toml").write_text(text)
    return load(str(folder / "postjet.toml"), {})[0]


def refusal(folder: Path, line: str, without: str = "") -> str:
    text = "\n".join(kept for kept in LEAST.splitlines() if not without or not kept.startswith(without))
    with pytest.raises(ConfigError) as error:
        read(folder, f"{text}\n{line}\n")
    return str(error.value).partition(": ")[2]


def test_the_least(tmp_path: Path) -> None:
    [webhook] = read(tmp_path, LEAST).webhooks
    assert (webhook.name, webhook.parallel, webhook.timeout, webhook.expire) == ("crm", 10, 10, 3 * 86_400)


def test_one_of_a_filter_needs_no_list(tmp_path: Path) -> None:
    [webhook] = read(tmp_path, f'{LEAST}types = "bounced"\ndomain = "Example.ORG"\ntag = ["a", "b"]').webhooks
    assert (webhook.types, webhook.domain, webhook.tag) == (("bounced",), ("example.org",), ("a", "b"))


@pytest.mark.parametrize(
    ("line", "without", "said"),
    [
        ('name = "CRM"', "name", "a webhook's name has lower-case letters"),
        ('url = "http://crm.example.com/"', "url", "webhooks[0].url: must be https, or allow_internal = true"),
        ('url = "https://10.1.2.3/"', "url", "webhooks[0].url: 10.1.2.3 is an internal address; it needs"),
        ('url = "https://[::ffff:a9fe:a9fe]/"', "url", "is an internal address; it needs allow_internal"),
        ('url = "https://crm.example.com:25/"', "url", "webhooks[0].url: port 25 needs allow_internal = true"),
        ('url = "https://crm.example.com:99999/"', "url", "Port out of range"),
        ('url = "https://u:p@crm.example.com/"', "url", "is no URL such as https://app.example.com/hooks/mail"),
        ('url = "ftp://crm.example.com/"', "url", "is no URL such as"),
        ('url = "https://a.example\\\\@10.0.0.1/"', "url", "is no URL such as"),
        ('url = "https://crm.example.com/\\n"', "url", "is no URL such as"),
        ("secrets = []", "secrets", "webhooks[0].secrets: one is needed at least"),
        ('secrets = ["geheim"]', "secrets", "24 to 64 bytes in base64; 'postjet webhook secret' makes"),
        ('secrets = ["whsec_c2hvcnQ="]', "secrets", "a secret is whsec_ and 24 to 64 bytes in base64"),
        ('types = ["delivred"]', "", "webhooks[0].types[0]: Input should be 'accepted'"),
        ('bearer = "x"\nusername = "y"', "", "webhooks[0].bearer: goes without username and password"),
        ('headers = { "Host" = "x" }', "", "webhooks[0].headers: Host is set by Postjet"),
        ('headers = { "Webhook-Id" = "x" }', "", "webhooks[0].headers: Webhook-Id is set by Postjet"),
        ('headers = { "X-A" = "a\\r\\nb" }', "", "webhooks[0].headers: 'X-A' is no field"),
        ('bearer = "a\\nb"', "", "what cannot be printed"),
        ('timeout = "1m"', "", "webhooks[0].timeout: must be 0.1s to 30s"),
        ('colour = "red"', "", "unknown key webhooks[0].colour"),
    ],
)
def test_refused(tmp_path: Path, line: str, without: str, said: str) -> None:
    assert said in refusal(tmp_path, line, without)


def test_a_password_in_a_url_is_not_repeated(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(tmp_path, 'url = "https://u:hunter2@crm.example.com/"', "url")


def test_two_of_a_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="webhooks: two of them have the same name"):
        read(tmp_path, LEAST + LEAST)


def test_an_own_network_may_be_anything(tmp_path: Path) -> None:
    text = LEAST.replace("https://crm.example.com", "http://127.0.0.1:25")
    assert read(tmp_path, f"{text}allow_internal = true").webhooks[0].url == "http://127.0.0.1:25/hooks"


def test_a_listener_may_name_it(tmp_path: Path) -> None:
    listener = '\n[[listeners]]\nname = "a"\ndefaults = { webhook = "crm" }\n'
    config = read(tmp_path, LEAST + listener)
    assert config.listeners[0].default_options(config.pools, config.webhook_names).webhook == "crm"
    with pytest.raises(ConfigError, match="'crm' is no webhook here; none is configured"):
        read(tmp_path, listener)


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    config = read(tmp_path, f'{LEAST}username = "u"\npassword = "geheim"\nheaders = {{ "X-Key" = "geheim" }}')
    shown = config_text.in_force(config)
    assert "geheim" not in shown
    assert SECRET not in shown
    assert 'name = "crm"' in shown
    assert 'headers = {"X-Key" = "***"}' in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://chat.example/services/T0/geheim", "https://chat.example/***"),
        ("https://chat.example:8443/?token=geheim", "https://chat.example:8443/***"),
        ("https://chat.example?token=geheim", "https://chat.example/***"),
        ("https://crm.example/", "https://crm.example/"),
        ("https://crm.example", "https://crm.example"),
    ],
)
def test_of_a_url_the_host_is_shown(tmp_path: Path, url: str, shown: str) -> None:
    config = read(tmp_path, LEAST.replace("https://crm.example.com/hooks", url))
    assert f'url = "{shown}"\n' in config_text.in_force(config)
    assert config.webhooks[0].url == url


def test_a_new_secret_signs() -> None:
    assert new_secret() != new_secret()
    Verifier(new_secret())
