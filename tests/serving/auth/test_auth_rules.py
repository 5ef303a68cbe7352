from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.errors import AccessError
from serving.auth import passwords
from serving.auth.access import Buckets
from serving.auth.caller import PURPOSE_TITLES, Caller, Purpose, region_prefixes
from serving.auth.roles import (
    ADMINISTRATORS,
    GRANTS,
    TITLES,
    Permission,
    Role,
    check_apart,
    check_system,
    permissions,
)
from serving.auth.secret import check_file, seal, unseal
from serving.settings import ServeSettings

OPEN = {
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/v1/reports/{code}"),
    ("POST", "/v1/setup"),
    ("POST", "/v1/auth/invitations"),
    ("POST", "/v1/auth/sessions"),
    ("GET", "/v1/plans/{plan_id}/verify"),
    ("GET", "/v1/plans/{plan_id}/record"),
    ("GET", "/v1/plans/{plan_id}/lines/{subject}"),
    ("GET", "/v1/plans/{plan_id}/publication"),
    ("GET", "/v1/plans/{plan_id}/strata/key"),
}
"""What nobody has to prove themselves for: each either tells nothing or is the proof itself."""


@pytest.fixture
def settings(tmp_path: Path) -> ServeSettings:
    """Return settings whose database nobody reaches: nothing here gets that far."""
    address = "postgresql://nowhere.invalid/x"
    return ServeSettings.model_validate({"home": tmp_path / "home", "database_url": address})


def test_every_route_denies_nobody(app: FastAPI, client: TestClient) -> None:
    described = app.openapi()["paths"]
    routes = {(method.upper(), path) for path, known in described.items() for method in known}
    assert routes > OPEN
    let_in = {
        (method, path)
        for method, path in routes - OPEN
        if client.request(method, path.replace("{", "").replace("}", "")).status_code != 401
    }
    assert let_in == set()


def test_every_route_that_is_not_described_is_known(app: FastAPI) -> None:
    described = set(app.openapi()["paths"])
    hidden = {getattr(route, "path", "") for route in app.routes} - described - {""}
    assert hidden <= {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/static-offline-docs"}


def test_every_role_and_purpose_has_a_title_and_every_permission_a_role() -> None:
    assert set(TITLES) == set(GRANTS) == set(Role)
    assert set(PURPOSE_TITLES) == set(Purpose)
    assert permissions(frozenset(Role)) == set(Permission)


def test_administrators_share_no_power_with_each_other_or_with_business() -> None:
    for one, two in combinations(sorted(ADMINISTRATORS), 2):
        assert GRANTS[one].isdisjoint(GRANTS[two])
    power = {Permission.USERS_MANAGE, Permission.ACCESS_MANAGE, Permission.AUDIT_READ}
    for role in set(Role) - ADMINISTRATORS:
        assert GRANTS[role].isdisjoint(power)
    for role in ADMINISTRATORS:
        assert Permission.PERSONAL_READ not in GRANTS[role]
        assert Permission.DECISIONS_READ not in GRANTS[role]


@given(st.frozensets(st.sampled_from(Role)))
def test_an_administrator_stands_alone(roles: frozenset[Role]) -> None:
    mixed = len(roles) > 1 and bool(roles & ADMINISTRATORS)
    if mixed:
        with pytest.raises(AccessError, match="apart"):
            check_apart(roles)
    else:
        check_apart(roles)
    if roles & ADMINISTRATORS:
        with pytest.raises(AccessError, match="second factor"):
            check_system(roles)
    else:
        check_system(roles)


def caller(**changes: object) -> Caller:
    values: dict[str, object] = {
        "id": "key:1",
        "kind": "key",
        "name": "test",
        "roles": frozenset({Role.VIEWER}),
    }
    return Caller(**(values | changes))  # pyright: ignore[reportArgumentType]


def test_nobody_sees_a_region_that_was_not_granted() -> None:
    assert not caller().sees_region("210100")
    assert not caller().sees_region(None)
    shenyang = caller(regions=("2101",))
    assert shenyang.sees_region("210105")
    assert not shenyang.sees_region("210200")
    assert not shenyang.sees_region(None)
    assert caller(regions=("",)).sees_region(None)


@given(
    st.lists(st.from_regex(r"(\d{2}){1,3}", fullmatch=True), max_size=4),
    st.from_regex(r"\d{6}", fullmatch=True),
)
def test_a_region_holds_its_parts_and_nothing_else(codes: list[str], subject: str) -> None:
    codes = [code for code in codes if code.strip("0")]
    seen = caller(regions=region_prefixes(codes)).sees_region(subject)
    cut = [code.removesuffix("00").removesuffix("00") for code in codes]
    assert seen == any(subject.startswith(code) for code in cut)


@pytest.mark.parametrize("code", ["2", "21a1", "0", "00", "000000", "%", "21%", "21 ", "2101000"])
def test_what_is_no_region_is_refused(code: str) -> None:
    with pytest.raises(AccessError, match="no region"):
        region_prefixes([code])


def test_departments_restrict_where_there_are_some() -> None:
    assert caller().sees_department(None)
    bureau = caller(departments=("市文旅局",))
    assert bureau.sees_department("市文旅局")
    assert not bureau.sees_department("市税务局")
    assert not bureau.sees_department(None)


@pytest.mark.parametrize(
    "password",
    [
        "Short-1",
        "alllowercaseletters"[:19],
        "1234567890abc",
        "Password-12",
        "Officer.One-1",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "Aa1!" * 40,
        "",
    ],
)
def test_a_weak_password_is_refused_and_never_told(password: str) -> None:
    with pytest.raises(AccessError) as caught:
        passwords.check(password, name="officer.one")
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize(
    "password",
    [
        "Rivers-run-7",
        "a long phrase without any capitals",
        "信用监管人人有责Ab1",
        "ＲＩＶＥＲs-run-7",
    ],
)
def test_a_good_password_is_taken_kept_as_argon2id_and_known_again(password: str) -> None:
    passwords.check(password, name="officer.one")
    kept = passwords.hashed(password)
    assert kept.startswith("$argon2id$")
    assert passwords.matches(password, kept)
    assert not passwords.matches(password + "x", kept)
    assert not passwords.matches(password, None)
    assert not passwords.matches(password, "not a hash")
    with pytest.raises(AccessError, match="last"):
        passwords.check(password, name="officer.one", former=[kept])


def test_a_password_is_the_same_on_every_keyboard() -> None:
    assert passwords.matches("RIVERs-run-7", passwords.hashed("ＲＩＶＥＲs-run-7"))


def test_what_is_sealed_opens_in_its_own_place_only(settings: ServeSettings) -> None:
    sealed = seal(settings, b"JBSWY3DPEHPK3PXP", context="totp:1")
    assert b"JBSWY3" not in sealed
    assert sealed != seal(settings, b"JBSWY3DPEHPK3PXP", context="totp:1")
    assert unseal(settings, sealed, context="totp:1") == b"JBSWY3DPEHPK3PXP"
    with pytest.raises(AccessError, match="totp:2"):
        unseal(settings, sealed, context="totp:2")
    for place in (0, 5, len(sealed) - 1):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(AccessError, match="altered"):
            unseal(settings, bytes(altered), context="totp:1")
    with pytest.raises(AccessError):
        unseal(settings, b"", context="totp:1")


def test_another_key_opens_nothing(settings: ServeSettings) -> None:
    def keyed(key: str) -> ServeSettings:
        return ServeSettings.model_validate({"home": settings.home, "secret_key": key})

    sealed = seal(keyed("a" * 32), b"seed", context="x")
    assert unseal(keyed("a" * 32), sealed, context="x") == b"seed"
    assert not settings.secret_file.exists()
    with pytest.raises(AccessError, match="XINJIAN_SECRET_KEY"):
        unseal(keyed("b" * 32), sealed, context="x")


def test_the_made_key_is_its_owners_alone(settings: ServeSettings) -> None:
    sealed = seal(settings, b"seed", context="x")
    assert settings.secret_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.home.iterdir()] == ["secret.key"]
    settings.secret_file.chmod(0o640)
    with pytest.raises(AccessError, match="chmod 600"):
        unseal(settings, sealed, context="x")
    with pytest.raises(AccessError, match="640"):
        check_file(settings.secret_file)


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = ServeSettings.model_validate({"home": tmp_path / "file" / "home"})
    with pytest.raises(AccessError, match="XINJIAN_SECRET_KEY"):
        seal(settings, b"seed", context="x")


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": "https://a.example"},
        {"oidc_issuer": "https://a.example", "oidc_audience": "x"},
        {"oidc_issuer": "https://a.example", "oidc_jwks": "https://a.example/jwks"},
        {"oidc_jwks": "http://a.example/jwks"},
        {"oidc_algorithms": "HS256"},
        {"oidc_algorithms": "RS256,none"},
        {"oidc_algorithms": ""},
        {"secret_key": "short"},
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ServeSettings.model_validate(wrong)


@given(st.lists(st.floats(0, 3), max_size=60))
def test_a_bucket_never_gives_more_than_its_rate_and_burst(pauses: list[float]) -> None:
    now = [0.0]
    buckets = Buckets(lambda: now[0])
    taken = 0
    for pause in pauses:
        now[0] += pause
        taken += buckets.take("one", rate=2, burst=5) == 0
        assert taken <= 5 + 2 * now[0] + 1e-6


def test_whoever_waits_as_long_as_told_gets_a_token() -> None:
    now = [0.0]
    buckets = Buckets(lambda: now[0])
    while not (wait := buckets.take("one", rate=2, burst=3)):
        pass
    assert buckets.wait("one", rate=2, burst=3) == pytest.approx(wait)
    assert buckets.wait("other", rate=2, burst=3) == 0
    now[0] += wait + 1e-9
    assert buckets.take("one", rate=2, burst=3) == 0
