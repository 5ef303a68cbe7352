from __future__ import annotations

import pytest

from models.errors import ConfigError
from serving.jobs import hosts
from serving.jobs.hosts import Allowed

ALLOWED = Allowed.of("credit.example.cn, 10.20.0.0/16,fd00::/8")


def to(*addresses: str) -> hosts.Resolve:
    return lambda _host, _port: addresses


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "https://credit.example.cn/changes?a=1",
            ("https", "credit.example.cn", 443, "/changes?a=1"),
        ),
        ("https://CREDIT.example.cn.:8443", ("https", "credit.example.cn", 8443, "/")),
        ("http://10.20.3.4:9000/x", ("http", "10.20.3.4", 9000, "/x")),
        ("http://[fd00::1]/x", ("http", "fd00::1", 80, "/x")),
    ],
)
def test_an_allowed_address_is_taken_apart(url: str, told: tuple[str, str, int, str]) -> None:
    assert hosts.check(url, ALLOWED) == told


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example.cn/",
        "https://credit.example.cn.evil.example/",
        "https://xcredit.example.cn/",
        "http://credit.example.cn/",
        "https://user:pass@credit.example.cn/",
        "https://credit.example.cn@evil.example/",
        "https://credit.example.cn/#x",
        "ftp://credit.example.cn/",
        "file:///etc/passwd",
        "http://127.0.0.1/",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.21.0.1/",
        "http://[::1]/",
        "http://[::ffff:10.20.0.1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "https:///path",
        "https://credit.example.cn:99999/",
        "gopher://10.20.0.1",
        "",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        hosts.check(url, ALLOWED)


def test_nothing_is_allowed_unless_the_operator_says_so() -> None:
    with pytest.raises(ConfigError, match="XINJIAN_HOOK_HOSTS"):
        hosts.check("https://credit.example.cn/", Allowed.of(""))


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "169.254.169.254", "192.168.1.1", "::1", "fe80::1", "0.0.0.0", "224.0.0.1"],  # noqa: S104
)
def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    for addresses in ([address], ["8.8.8.8", address]):
        with pytest.raises(ConfigError, match="inside"):
            hosts.target("https://credit.example.cn/", ALLOWED, resolve=to(*addresses))


def test_a_name_may_lead_into_an_allowed_network() -> None:
    found = hosts.target("https://credit.example.cn/x", ALLOWED, resolve=to("10.20.1.1"))
    assert (found.url, found.authority) == ("https://10.20.1.1:443/x", "credit.example.cn")


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])
    found = hosts.target(
        "https://credit.example.cn:8443/x", ALLOWED, resolve=lambda _host, _port: next(answers)
    )
    assert found.url == "https://8.8.8.8:8443/x"
    assert (found.host, found.authority) == ("credit.example.cn", "credit.example.cn:8443")


def test_an_address_of_six_is_written_in_brackets() -> None:
    found = hosts.target("http://[fd00::1]:81/", ALLOWED)
    assert (found.url, found.authority) == ("http://[fd00::1]:81/", "[fd00::1]:81")


@pytest.mark.parametrize("text", ["https://a.b", "a b", "10.20.0.0/99", "1.2.3", "名.cn"])
def test_a_setting_that_is_neither_name_nor_network_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="neither a host's name nor a network"):
        Allowed.of(text)
