from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from models.errors import AccessDownError
from serving.app import create_app
from serving.auth.access import Access
from serving.auth.jwks import DEAD, OLD, SOON, IssuerKeys, parse, read
from serving.service import Service
from serving.settings import ServeSettings

ISSUER = "https://login.example.gov.cn/realms/xinjian"
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


@dataclass
class Issuer:
    """An issuer of tokens whose keys a test changes."""

    keys: dict[str, Key]
    now: float = 0.0
    readings: int = 0
    down: bool = False

    def reading(self, where: str) -> bytes:
        assert where == "https://login.example.gov.cn/jwks"
        self.readings += 1
        if self.down:
            raise OSError("no route to host")
        public = [
            {**key.as_dict(private=False), "kid": name, "use": "sig"}
            for name, key in self.keys.items()
        ]
        return json.dumps({"keys": public}).encode()

    def token(
        self,
        claims: Mapping[str, object] | None = None,
        *,
        kid: str | None = "one",
        signed_by: str = "one",
        algorithm: str = "RS256",
        typ: str = "at+jwt",
    ) -> str:
        instant = int(NOW.timestamp())
        told: dict[str, object] = {
            "iss": ISSUER,
            "aud": "xinjian",
            "sub": "u-17",
            "exp": instant + 300,
            "iat": instant,
            "roles": ["analyst", "someone-elses-role"],
            "regions": ["210100", "210200"],
            "preferred_username": "li.si",
        }
        told |= claims or {}
        header = {"alg": algorithm, "typ": typ} | ({} if kid is None else {"kid": kid})
        kept = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(header, kept, self.keys[signed_by], algorithms=[algorithm])


@pytest.fixture(scope="module")
def pairs() -> tuple[RSAKey, RSAKey, ECKey, OKPKey]:
    return (
        RSAKey.generate_key(2048),
        RSAKey.generate_key(2048),
        ECKey.generate_key("P-256"),
        OKPKey.generate_key("Ed25519"),
    )


@pytest.fixture
def issuer(pairs: tuple[RSAKey, RSAKey, ECKey, OKPKey]) -> Issuer:
    return Issuer({"one": pairs[0], "two": pairs[1], "curve": pairs[2], "edwards": pairs[3]})


@pytest.fixture
def settings(tmp_path: Path) -> ServeSettings:
    """Return settings whose database nobody reaches: tokens need none."""
    address = "postgresql://nowhere.invalid/x"
    return ServeSettings.model_validate({"home": tmp_path, "database_url": address})


@pytest.fixture
def taking(service: Service, issuer: Issuer) -> Service:
    """Return a service that takes the issuer's tokens."""
    settings = service.settings.model_copy(
        update={
            "oidc_issuer": ISSUER,
            "oidc_audience": "xinjian",
            "oidc_jwks": "https://login.example.gov.cn/jwks",
        }
    )
    access = Access(issuer=IssuerKeys(issuer.reading, lambda: issuer.now))
    return replace(service, settings=settings, access=access, clock=lambda: NOW)


@pytest.fixture
def app(taking: Service) -> FastAPI:
    return create_app(service=taking)


def me(client: TestClient, token: str) -> tuple[int, dict[str, object]]:
    answer = client.get("/v1/auth/me", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("kid", "algorithm"),
    [("one", "RS256"), ("two", "PS256"), ("curve", "ES256"), ("edwards", "Ed25519")],
)
def test_a_token_is_read_as_a_caller(
    client: TestClient, issuer: Issuer, kid: str, algorithm: str
) -> None:
    status, told = me(client, issuer.token(kid=kid, signed_by=kid, algorithm=algorithm))
    assert status == 200
    assert (told["id"], told["kind"], told["name"]) == ("token:u-17", "token", "li.si")
    assert told["roles"] == {"analyst": "分析员"}
    assert told["regions"] == ["2101", "2102"]


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(NOW.timestamp()) - 31},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"nbf": int(NOW.timestamp()) + 31},
        {"iat": int(NOW.timestamp()) + 3600},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "another-service"},
        {"aud": ["another", "third"]},
        {"aud": None},
        {"aud": ""},
        {"sub": None},
        {"sub": ""},
        {"sub": 17},
        {"roles": ["system_admin", "security_admin"]},
        {"roles": ["audit_admin", "viewer"]},
        {"regions": ["2x"]},
    ],
)
def test_claims_that_break_a_rule_are_nobodys(
    client: TestClient, issuer: Issuer, claims: dict[str, object]
) -> None:
    status, told = me(client, issuer.token(claims))
    assert (status, told["type"]) == (401, "/problems/unauthenticated")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(NOW.timestamp()) - 29},
        {"nbf": int(NOW.timestamp()) + 29},
        {"aud": ["another", "xinjian"]},
    ],
)
def test_a_clock_that_is_a_little_off_and_a_list_of_audiences_are_taken(
    client: TestClient, issuer: Issuer, claims: dict[str, object]
) -> None:
    assert me(client, issuer.token(claims))[0] == 200


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _tampered(token: str, **changes: object) -> str:
    header, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return f"{header}.{_part(claims | changes)}.{signature}"


def test_a_token_that_was_altered_is_nobodys(client: TestClient, issuer: Issuer) -> None:
    assert me(client, _tampered(issuer.token(), roles=["data_manager"]))[0] == 401


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
def test_an_unsigned_token_is_nobodys(client: TestClient, issuer: Issuer, algorithm: str) -> None:
    body = issuer.token().split(".")[1]
    for header in ({"alg": algorithm, "typ": "JWT"}, {"alg": algorithm, "kid": "one"}):
        assert me(client, f"{_part(header)}.{body}.")[0] == 401
        assert me(client, f"{_part(header)}.{body}.AAAA")[0] == 401


def _body(pem: str) -> str:
    return "".join(pem.strip().splitlines()[1:-1])


def test_a_public_key_is_not_taken_for_a_shared_secret(
    client: TestClient, issuer: Issuer, pairs: tuple[RSAKey, RSAKey, ECKey, OKPKey]
) -> None:
    # The old confusion: HS256 keyed with the text of the public key, which everybody has.
    text = pairs[0].as_pem(private=False).decode()
    forger = replace(issuer, keys={"one": OctKey.import_key(_body(text))})
    assert me(client, forger.token(algorithm="HS256"))[0] == 401


def test_a_key_id_that_is_swapped_missing_or_unknown_is_nobodys(
    client: TestClient, issuer: Issuer
) -> None:
    for kid in ("two", "curve", "three", None, "../../one", "one\0"):
        assert me(client, issuer.token(kid=kid, signed_by="one"))[0] == 401, kid


def test_a_key_in_the_tokens_own_header_is_not_believed(client: TestClient, issuer: Issuer) -> None:
    own = RSAKey.generate_key(2048)
    header = {"alg": "RS256", "kid": "mine", "jwk": own.as_dict(private=False)}
    claims = {"iss": ISSUER, "aud": "xinjian", "sub": "x", "exp": int(NOW.timestamp()) + 60}
    assert me(client, jwt.encode(header, claims, own))[0] == 401
    header = {"alg": "RS256", "kid": "mine", "jku": "https://evil.example/jwks"}
    assert me(client, jwt.encode(header, claims, own))[0] == 401
    assert issuer.readings == 1  # at the issuer's own address, once


@pytest.mark.parametrize("typ", ["logout+jwt", "dpop+jwt", "secevent+jwt"])
def test_a_token_of_another_kind_is_nobodys(client: TestClient, issuer: Issuer, typ: str) -> None:
    assert me(client, issuer.token(typ=typ))[0] == 401


@pytest.mark.parametrize("shown", ["..", "a.b.c", "€.€.€", ".".join(["A" * 9000] * 3)])
def test_what_is_no_token_is_nobodys(client: TestClient, shown: str) -> None:
    headers = {b"Authorization": f"Bearer {shown}".encode()}
    assert client.get("/v1/auth/me", headers=headers).status_code == 401


def test_an_algorithm_that_is_not_allowed_is_nobodys(taking: Service, issuer: Issuer) -> None:
    strict = taking.settings.model_copy(update={"oidc_algorithms": "ES256"})
    with TestClient(create_app(service=replace(taking, settings=strict))) as client:
        assert me(client, issuer.token())[0] == 401
        token = issuer.token(kid="curve", signed_by="curve", algorithm="ES256")
        assert me(client, token)[0] == 200


def test_an_administrator_shows_a_second_factor(client: TestClient, issuer: Issuer) -> None:
    one = me(client, issuer.token({"roles": ["audit_admin"]}))[1]
    assert (one["roles"], one["held"]) == ({}, "second-factor-missing")
    two = me(client, issuer.token({"roles": ["audit_admin"], "amr": ["pwd", "otp"]}))[1]
    assert (two["roles"], two["held"]) == ({"audit_admin": "审计管理员"}, None)


def test_roles_are_found_inside_objects(taking: Service, issuer: Issuer) -> None:
    nested = taking.settings.model_copy(update={"oidc_roles": "realm_access.roles"})
    with TestClient(create_app(service=replace(taking, settings=nested))) as client:
        token = issuer.token({"realm_access": {"roles": ["viewer"]}, "roles": ["data_manager"]})
        assert me(client, token)[1]["roles"] == {"viewer": "查看员"}
        assert me(client, issuer.token({"realm_access": "viewer"}))[1]["roles"] == {}


def test_a_token_ends_while_it_is_remembered(taking: Service, issuer: Issuer) -> None:
    instant = [NOW]
    moving = replace(taking, clock=lambda: instant[0])
    with TestClient(create_app(service=moving)) as client:
        token = issuer.token({"exp": int(NOW.timestamp()) + 1})
        assert me(client, token)[0] == 200
        instant[0] = NOW + timedelta(seconds=31)
        assert me(client, token)[0] == 401


def test_no_token_is_taken_where_no_issuer_is_set(
    service: Service, taking: Service, issuer: Issuer
) -> None:
    closed = replace(taking, settings=service.settings)
    with TestClient(create_app(service=closed)) as client:
        assert me(client, issuer.token())[0] == 401
    assert issuer.readings == 0


def test_new_keys_are_read_when_a_token_names_one(
    client: TestClient, issuer: Issuer, pairs: tuple[RSAKey, RSAKey, ECKey, OKPKey]
) -> None:
    issuer.keys = {"one": pairs[0]}
    assert me(client, issuer.token())[0] == 200
    issuer.keys = {"new": pairs[1]}
    rotated = issuer.token(kid="new", signed_by="new")
    assert (me(client, rotated)[0], issuer.readings) == (401, 1)  # not for every unknown name
    issuer.now += SOON
    assert (me(client, rotated)[0], issuer.readings) == (200, 2)
    assert me(client, issuer.token({"sub": "u-18"}, signed_by="new"))[0] == 401  # withdrawn


def test_keys_are_believed_for_a_day_while_the_issuer_is_down(issuer: Issuer) -> None:
    keys = IssuerKeys(issuer.reading, lambda: issuer.now)
    where = "https://login.example.gov.cn/jwks"
    issuer.down = True
    with pytest.raises(AccessDownError):
        keys.find(where, "one")
    issuer.down, issuer.now = False, issuer.now + SOON
    assert keys.find(where, "one") is not None
    issuer.down = True
    issuer.now += OLD + 1
    assert keys.find(where, "one") is not None
    issuer.now += DEAD
    with pytest.raises(AccessDownError):
        keys.find(where, "one")


def test_a_known_key_does_not_wait_for_a_slow_issuer(issuer: Issuer) -> None:
    entered, released = Event(), Event()
    slow = [False]

    def reading(where: str) -> bytes:
        if slow[0]:
            entered.set()
            assert released.wait(20)
        return issuer.reading(where)

    keys = IssuerKeys(reading, lambda: issuer.now)
    where = "https://login.example.gov.cn/jwks"
    assert keys.find(where, "one") is not None
    issuer.now += OLD + 1
    slow[0] = True
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(keys.find, where, "one")
        assert entered.wait(20)
        issuer.now += SOON
        assert keys.find(where, "one") is not None
        released.set()
        assert waiting.result() is not None
    assert issuer.readings == 2


def test_an_issuer_that_is_down_is_a_503(client: TestClient, issuer: Issuer) -> None:
    issuer.down = True
    answer = client.get("/v1/auth/me", headers={"Authorization": f"Bearer {issuer.token()}"})
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/identity-down")
    assert answer.headers["Retry-After"] == "5"


def test_shared_secrets_and_keys_of_another_use_are_left_out(issuer: Issuer) -> None:
    public = issuer.keys["one"].as_dict(private=False)
    entries: list[dict[str, object]] = [
        {**public, "kid": "good"},
        {**public, "kid": "sealing", "use": "enc"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
        {"kty": "AKP", "kid": "unknown"},
        {"kty": "RSA", "kid": "broken"},
    ]
    assert set(parse(json.dumps({"keys": entries}).encode())) == {"good"}
    for wrong in (b"[]", b"{}", b'{"keys": 1}', b'{"keys": []}', b"<html>", b" " * (2**20 + 1)):
        with pytest.raises(ValueError, match=r"key|JSON|Expecting"):
            parse(wrong)


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(b"{}")
    assert read(str(file)) == b"{}"
    assert read(f"file://{file}") == b"{}"
    with pytest.raises(OSError, match="no-such"):
        read(str(tmp_path / "no-such"))
    with pytest.raises(OSError, match="unknown-host"):
        read("https://unknown-host.invalid/jwks")
