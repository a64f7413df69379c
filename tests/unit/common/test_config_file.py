from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import config_text
from common.config import Config
from common.config_file import load
from common.errors import ConfigError
from common.section import split_host_port


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    file = tmp_path / "postjet.toml"
    file.write_text(text)
    return load(str(file), environ)[0]


def test_no_file_is_everything_embedded_below_var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config, file = load(None, {})
    assert file is None
    assert config.data_dir == str(tmp_path / "var")
    assert config.nats.url == config.clickhouse.url == ""
    assert config.listeners[0].bind == "127.0.0.1:2525"
    assert config.hostname


def test_a_file_and_the_environment_over_it(tmp_path: Path) -> None:
    config = read(tmp_path, "[delivery]\nconnections = 5\nexpire = '2d'", POSTJET_DELIVERY__CONNECTIONS="7")
    assert config.delivery.connections == 7
    assert config.delivery.expire == 172800


def test_pools(tmp_path: Path) -> None:
    config = read(tmp_path, "[pools.bulk-2]\nworkers = 3\nsource_addresses = ['192.0.2.1', '2001:DB8::0:1']")
    assert list(config.pools) == ["default", "bulk-2"]
    assert config.pools["bulk-2"].source_addresses == ["192.0.2.1", "2001:db8::1"]


def test_keys_of_return_paths_are_not_shown(tmp_path: Path) -> None:
    config = read(tmp_path, f"[feedback]\nsecrets = ['{'ab' * 32}']")
    assert config_text.in_force(config).count("ab" * 16) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[delivery]\nconections = 5", "unknown key delivery.conections; did you mean delivery.connections?"),
        ("[pools.default]\nworker = 2", "unknown key pools.default.worker; did you mean pools.default.workers?"),
        ("[[listeners]]\nbnd = ''", "unknown key listeners[0].bnd; did you mean listeners[0].bind?"),
        ("zebra = 1", "unknown key zebra; see 'postjet config reference'"),
        ("[[listeners]]\ntls = 'implicit'", "listeners[0].tls_cert: tls = implicit needs it"),
        ("[[listeners]]\ntls_key = 'key.pem'", "listeners[0].tls_cert: tls_key needs it"),
        ("[[listeners]]\nproxy = ['10.0.0.0/33']", "listeners[0].proxy[0]: '10.0.0.0/33' does not appear"),
        ("[[policies]]\ndomain = 'a.example'", "policies[0].connections: the rule sets nothing"),
        ("[pools.Bulk]", "pools.Bulk: a pool's name has lower-case letters, digits and -, at most 32"),
        ("[pools.-bulk]", "pools.-bulk: a pool's name has"),
        (f"[pools.{'x' * 33}]", "a pool's name has"),
        ("[pools.'a.b']", "pools.a.b: a pool's name has"),
        ("[pools.feedback]", "pools.feedback: this name is reserved; choose another"),
        ("[pools.bulk]\nehlo = 'a b'", "pools.bulk.ehlo: syntax error in domain"),
        ("[pools.bulk]\nsource_addresses = ['mta1']", "pools.bulk.source_addresses[0]: 'mta1' does not appear"),
        ("[pools.bulk]\nsource_addresses = ['::']", "pools.bulk.source_addresses[0]: '::' is no address to send from"),
        ("[pools.bulk]\nsource_addresses = ['::1', '0::1']", "pools.bulk.source_addresses: one of them is there twice"),
        ("[feedback]\ndomain = 'bounces'", "feedback.domain: must be a name in DNS, such as bounces.example.net"),
        ("[feedback]\naddresses = ['Fbl']", "feedback.addresses: 'Fbl' is no local part such as fbl, in lower case"),
        ("[feedback]\nvalid = '1h'", "feedback.valid: 1d is the least"),
        ("[dkim]\nkeys = 'store'", "dkim.keys: only file://"),
        ("[delivery]\ntls = 'dane'", "delivery.tls: "),
        ("[events]\nkeep = '20000d'", "events.keep: 10000d is the most"),
        ("[delivery]\nexpire = 'soon'", "delivery.expire: 'soon' is no duration"),
        ("[nats]\norphan_age = '0s'", "nats.orphan_age: 1s is the least"),
        ("[nats]\nmax_store = 'lots'", "nats.max_store: 'lots' is no size"),
        ("[[listeners]]\nbind = 'here'", "listeners[0].bind: 'here' is not host:port"),
        ("[[listeners]]\n[[listeners]]", "listeners: two of them have the same name"),
        ("postmaster = 'nobody'", "postmaster: no domain"),
        ("hostname = 'a b'", "hostname: syntax error in domain"),
        ("hostname = ", "no valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 78


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such configuration file"):
        load(str(tmp_path / "none.toml"), {})


def test_the_default_file_changes_nothing_when_uncommented(tmp_path: Path) -> None:
    text = "\n".join(line.removeprefix("# ") for line in config_text.default_file().splitlines()[1:])
    config = read(tmp_path, text.replace('hostname = ""', 'hostname = "a.example"'))
    default = read(tmp_path, 'hostname = "a.example"')
    assert config == default


def test_what_is_in_force_can_be_read_back(tmp_path: Path) -> None:
    file = "[delivery]\nsmarthost = 'mx.example:25'\nusername = 'u'\npassword = 'hush'\n"
    config = read(tmp_path, file + "[nats]\nurl = 'nats://u:hush@127.0.0.1:4222'")
    text = config_text.in_force(config)
    assert "hush" not in text
    assert read(tmp_path, text).delivery.smarthost == "mx.example:25"


@pytest.mark.parametrize(
    ("text", "pair"),
    [("1.2.3.4:25", ("1.2.3.4", 25)), ("[::1]:25", ("::1", 25)), ("host", ("host", 53)), ("::1", ("::1", 53))],
)
def test_host_and_port(text: str, pair: tuple[str, int]) -> None:
    assert split_host_port(text, 53) == pair


@given(st.text())
def test_other_text_is_refused(text: str) -> None:
    try:
        assert 0 <= split_host_port(text)[1] <= 65535
    except ValueError as error:
        assert "host:port" in str(error)


def test_rules_in_force_can_be_read_back(tmp_path: Path) -> None:
    file = """
        [[providers]]
        name = "p"
        mx = "*.p.example"
        [[policies]]
        provider = "p"
        source = "192.0.2.1"
        rate = ["5/10s", "100/h"]
        retry = ["5m", "1h"]
        [[replies]]
        name = "r"
        code = [421, "45x"]
        text = 'a "quoted" \\[word\\]'
        trigger = "3/h"
        action = "rate"
        value = "1/m"
        for = "30m"
        """
    config = read(tmp_path, file)
    again = read(tmp_path, config_text.in_force(config))
    assert (again.providers, again.policies, again.replies) == (config.providers, config.policies, config.replies)


def test_default_options_of_a_listener_are_checked_at_the_start(tmp_path: Path) -> None:
    written = 'defaults = { pool = "bulk", priority = 3, meta = { shop = "7" } }'
    listener = read(tmp_path, f"[[listeners]]\n{written}\n[pools.bulk]").listeners[0]
    assert listener.defaults == {"pool": "bulk", "priority": 3, "meta": {"shop": "7"}}
    for text, why in (
        (written, "pool: 'bulk' is no pool here; there are default"),
        ("defaults = { colour = 1 }", "colour: no option of this version"),
        ("defaults = { priority = [1, 2] }", "priority: given twice"),
        ('compatible = ["sendgrid"]', "compatible"),
    ):
        with pytest.raises(ConfigError, match=why):
            read(tmp_path, f"[[listeners]]\n{text}")


def test_default_options_can_be_read_back(tmp_path: Path) -> None:
    config = read(tmp_path, '[[listeners]]\ndefaults = { tags = ["a", "b"], meta = { shop = "7" } }')
    assert read(tmp_path, config_text.in_force(config)) == config
