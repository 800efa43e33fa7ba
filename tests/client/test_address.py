"""Where a teacher may be, and whose word it takes (T8)."""

import json

import pytest

from burnish.client.address import allow, allowed, host_of, is_loopback, require_consent
from burnish.config import EndpointSettings
from burnish.errors import ConfigError


def at(address, key_env=""):
    return EndpointSettings(base_url=address, model="m", key_env=key_env)


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "ftp://host/v1",
        "gopher://host",
        "host/v1",
        "http://",
        "http://user:pass@host/v1",
        "http://host/v1?x=1",
        "http://host/v1#x",
        "http://a\\@b/v1",
        "http://host:99999/v1",
        "http://169.254.169.254/latest",
        "http://[fe80::1%25eth0]/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://metadata.google.internal/v1",
        "http://metadata.google.internal./v1",
        "http://[::1/v1",
    ],
)
def test_an_address_that_no_teacher_can_have_is_refused(address):
    with pytest.raises(ConfigError, match="is no address of a teacher") as error:
        host_of(at(address))
    assert "http://localhost:8000/v1" in error.value.hint


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000"),
        ("https://api.example.com/v1", "https://api.example.com"),
        ("http://[::1]:9/v1", "http://[::1]:9"),
    ],
)
def test_a_host_is_scheme_name_and_port(address, host):
    assert host_of(at(address)) == host


def test_this_machine_needs_no_word_and_any_other_does(tmp_path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    for address in ("http://localhost:1/v1", "http://127.0.0.9/v1", "http://[::1]/v1"):
        assert is_loopback(at(address))
        require_consent(at(address), environ)
    for address in ("http://10.0.0.1/v1", "https://localhost.evil.com/v1", "http://0.0.0.0/v1"):
        with pytest.raises(ConfigError, match="which nobody allowed"):
            require_consent(at(address), environ)


def test_a_word_is_for_one_host_and_one_key(tmp_path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    path = allow(at("https://a.com/v1", "KEY_A"), environ)
    allow(at("https://a.com/v2", "KEY_A"), environ)
    assert allowed(environ) == [["https://a.com", "KEY_A"]]
    assert json.loads(path.read_text()) == allowed(environ)
    require_consent(at("https://a.com/other", "KEY_A"), environ)
    for other in (at("https://a.com/v1", "KEY_B"), at("https://b.com/v1", "KEY_A"), at("http://a.com/v1", "KEY_A")):
        with pytest.raises(ConfigError, match="nobody allowed"):
            require_consent(other, environ)


def test_a_file_of_words_that_cannot_be_read_says_what_to_do(tmp_path):
    environ = {"HOME": str(tmp_path)}
    path = allow(at("https://a.com/v1"), environ)
    path.write_text("{not json")
    with pytest.raises(ConfigError, match="cannot be read") as error:
        allowed(environ)
    assert "allow your endpoints again" in error.value.hint
