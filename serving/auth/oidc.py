"""Access tokens of an OIDC issuer (RFC 9068, OpenID Connect): proven, then read as a caller.

The signature must be of an allowed kind and of the very key that the token names; issuer, audience,
subject and end must be there and right. Roles that the service does not know are ignored, and what
is not granted by a claim is denied.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from math import isfinite
from typing import Final, Literal, cast

from models.errors import AccessError
from models.logs import logger
from serving.auth.access import Known
from serving.auth.caller import Caller, region_prefixes
from serving.auth.roles import ADMINISTRATORS, Role, check_apart, known
from serving.service import Service
from serving.settings import ServeSettings

LONGEST: Final = 16_384
"""Most characters of a token."""
_TYPES: Final = ("jwt", "at+jwt", "application/at+jwt")
_TWO: Final = frozenset({"mfa", "otp", "hwk", "swk", "sc"})
"""Ways to sign in (RFC 8176) that are a second factor."""
_DAY: Final = 86_400.0
_log = logger(__name__)

Claims = Mapping[str, object]


def by_token(service: Service, text: str) -> Known | None:
    """Return who shows a token; ``None`` where it is not one to believe, or none are taken.

    Raises:
        AccessDownError: The issuer's keys cannot be had.
    """
    if not service.settings.oidc_issuer or len(text) > LONGEST:
        return None
    now = service.clock()
    claims = _proven(service, text)
    if claims is None or not isfinite(cast("float", claims["exp"])):
        return None
    try:
        found = caller_of(claims, service.settings)
    except AccessError as error:
        _log.warning("token refused", subject=str(claims["sub"]), reason=str(error))
        return None
    left = cast("float", claims["exp"]) + service.settings.oidc_leeway - now.timestamp()
    return Known(found, now + timedelta(seconds=min(left, _DAY)))


def caller_of(claims: Claims, settings: ServeSettings) -> Caller:
    """Return the caller that proven claims tell of.

    Raises:
        AccessError: The roles do not go together, or a region is none.
    """
    roles = known(_texts(claims, settings.oidc_roles))
    check_apart(roles)
    held = _held(claims, roles, settings)
    name = claims.get("preferred_username") or claims.get("name") or claims["sub"]
    return Caller(
        id=f"token:{claims['sub']}",
        kind="token",
        name=str(name),
        roles=frozenset() if held else roles,
        regions=region_prefixes(_texts(claims, settings.oidc_regions)),
        departments=tuple(sorted(set(_texts(claims, settings.oidc_departments)))),
        held=held,
    )


def _proven(service: Service, text: str) -> Claims | None:
    from joserfc import jwt
    from joserfc.errors import JoseError

    settings = service.settings
    registry = jwt.JWTClaimsRegistry(
        now=int(service.clock().timestamp()),
        leeway=settings.oidc_leeway,
        iss={"essential": True, "value": settings.oidc_issuer or ""},
        aud={"essential": True, "value": settings.oidc_audience or ""},
        exp={"essential": True},
        sub={"essential": True},
    )
    algorithms = [name.strip() for name in settings.oidc_algorithms.split(",")]
    try:
        key = service.access.issuer.find(settings.oidc_jwks or "", _named_key(text))
        if key is None or key.get("alg") not in (None, _header(text).get("alg")):
            return None
        token = jwt.decode(text, key, algorithms=algorithms)
        registry.validate(token.claims)
    except (JoseError, ValueError, TypeError, OverflowError) as error:
        _log.info("token refused", reason=str(error))
        return None
    kind = token.header.get("typ")
    if kind is not None and str(kind).lower() not in _TYPES:
        return None
    return token.claims if token.claims["sub"] else None


def _named_key(text: str) -> str | None:
    named = _header(text).get("kid")
    return None if named is None else str(named)


def _header(text: str) -> Mapping[str, object]:
    """Return the header as told, which proves nothing yet."""
    from joserfc.jws import extract_compact

    return extract_compact(text.encode()).headers()


def _held(
    claims: Claims, roles: frozenset[Role], settings: ServeSettings
) -> Literal["second-factor-missing"] | None:
    must = not ADMINISTRATORS.isdisjoint(roles) or settings.second_factor == "everyone"
    return "second-factor-missing" if must and _TWO.isdisjoint(_texts(claims, "amr")) else None


def _texts(claims: Claims, path: str) -> list[str]:
    """Return the texts of a claim, one or a list; none where it is missing or something else."""
    found: object = claims
    for part in path.split("."):
        found = _member(found, part)
    if isinstance(found, str):
        return [found]
    listed = cast("list[object]", found) if isinstance(found, list) else []
    return [one for one in listed if isinstance(one, str)]


def _member(value: object, name: str) -> object:
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None
