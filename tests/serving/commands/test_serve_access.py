from __future__ import annotations

import os
import re

import pytest

from serving.auth import accounts, login, tokens
from serving.auth.identify import identify
from serving.commands import serve
from serving.ledger import audit, users
from serving.service import Service
from serving.settings import ServeSettings
from xinjian.cli import DONE, USER_ERROR, main

THREE = (
    *("--system-admin", "sys.admin"),
    *("--security-admin", "sec.admin"),
    *("--audit-admin", "aud.admin"),
)


@pytest.fixture(autouse=True)
def environment(settings: ServeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("XINJIAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XINJIAN_HOME", str(settings.home))
    monkeypatch.setenv("XINJIAN_DATABASE_URL", settings.database or "")


def run(*words: str) -> int:
    return main(["serve", *words])


def test_the_three_are_set_up_once(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("user", "setup", *THREE) == DONE
    told = capsys.readouterr().out
    invitations = re.findall(r"xi_\w{16}_[\w-]{43}", told)
    assert len(invitations) == 3
    assert login.take_invitation(service, invitations[0], password="Rivers-run-7-deep")
    assert run("user", "setup", *THREE) == USER_ERROR
    assert run("user", "list") == DONE
    listed = capsys.readouterr().out
    assert re.search(r"^sys\.admin\t启用\tsystem_admin\t-$", listed, flags=re.MULTILINE)
    assert re.search(r"^aud\.admin\t待设口令\taudit_admin\t-$", listed, flags=re.MULTILINE)


def test_an_account_is_made_granted_closed_and_opened(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("user", "add", "officer.1", "--title", "执法一组") == DONE
    invitation = capsys.readouterr().out.strip()
    assert login.take_invitation(service, invitation, password="Rivers-run-7-deep")
    assert run("user", "grant", "officer.1", "--role", "inspector", "--region", "210100") == DONE
    with service.ledger.begin() as connection:
        row = users.named(connection, "officer.1")
        (last,) = audit.page(connection, actor="system")[-1:]
    assert row is not None
    assert (row.roles, row.regions) == (("inspector",), ("2101",))
    assert (last["action"], last["target"]) == ("user.grant", f"user:{row.id}")
    for word, works in (("disable", False), ("enable", True)):
        assert run("user", word, "officer.1") == DONE
        found = login.sign_in(service, "officer.1", password="Rivers-run-7-deep", code=None)
        assert (found is not None) == works
    assert run("user", "unlock", "officer.1") == DONE


def test_an_invitation_at_the_console_keeps_the_rights(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    run("user", "setup", *THREE)
    capsys.readouterr()
    assert run("user", "invite", "sec.admin") == DONE
    assert tokens.parse(capsys.readouterr().out.strip()) is not None
    with service.ledger.begin() as connection:
        row = users.named(connection, "sec.admin")
    assert row is not None
    assert row.roles == ("security_admin",)


def test_a_key_is_issued_rotated_and_revoked(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("key", "add", "省级平台", "--role", "partner", "--region", "all") == DONE
    old = capsys.readouterr().out.strip()
    known = identify(service, old)
    assert known is not None
    assert known.caller.everywhere
    number = known.caller.id.removeprefix("key:")
    assert run("key", "rotate", number, "--hours", "0") == DONE
    new = capsys.readouterr().out.strip()
    assert identify(service, old) is None
    found = identify(service, new)
    assert found is not None
    successor = found.caller.id.removeprefix("key:")
    assert run("key", "list") == DONE
    listed = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[:3] for line in listed] == [
        [successor, "省级平台", "live"],
        [number, "省级平台", "expired"],
    ]
    assert run("key", "revoke", successor) == DONE
    assert identify(service, new) is None


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("user", "grant", "nobody.here"), "no account"),
        (("user", "add", "Bad Name"), "no account's name"),
        (("key", "add", "x1", "--role", "king"), "no such role"),
        (("key", "add", "x1", "--role", "system_admin"), "never a system"),
        (("key", "add", "x1", "--role", "inspector"), "purposes"),
        (("key", "add", "x1", "--role", "viewer", "--purpose", "fun"), "no such purpose"),
        (("key", "rotate", "0123456789abcdef"), "no live key"),
        (("key", "revoke", "0123456789abcdef"), "not revoked"),
    ],
)
def test_what_breaks_a_rule_is_told_in_a_line(
    words: tuple[str, ...], rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == USER_ERROR
    assert rule in capsys.readouterr().err


def test_the_first_start_shows_a_token_and_no_later_one(
    service: Service, settings: ServeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    serve._show_first_token(settings, service.ledger)
    (token,) = re.findall(r"xt_\w{16}_[\w-]{43}", capsys.readouterr().err)
    names = {role: f"admin.{number}" for number, role in enumerate(accounts.FIRST)}
    assert accounts.set_up(service, token, names=names)
    serve._show_first_token(settings, service.ledger)
    assert capsys.readouterr().err == ""


def test_an_installation_with_an_issuer_of_its_own_needs_no_token(
    service: Service, settings: ServeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    outer = settings.model_copy(update={"oidc_issuer": "https://login.example.gov.cn"})
    serve._show_first_token(outer, service.ledger)
    assert capsys.readouterr().err == ""
