"""Where the service may send to: only where its operator said, whatever a name resolves to.

A partner writes the address of a hook, so it could name a machine inside, which the service can
reach and the partner cannot (server-side request forgery, CWE-918). A name is resolved once, every
address it has is checked, and the connection goes to the address that was checked: a name that
resolves differently a moment later leads nowhere else.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from models.errors import ConfigError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str, int], Sequence[str]]

_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Allowed:
    """Names that may be sent to, and networks: ``credit.example.cn``, ``10.20.0.0/16``."""

    names: frozenset[str]
    networks: tuple[Network, ...]

    @classmethod
    def of(cls, text: str) -> Allowed:
        """Read names and networks with commas between; :class:`ConfigError` for what is neither."""
        names: set[str] = set()
        networks: list[Network] = []
        for one in filter(None, (part.strip() for part in text.split(","))):
            try:
                networks.append(ip_network(one))
            except ValueError:
                names.add(_name(one))
        return cls(frozenset(names), tuple(networks))

    def has(self, address: Address) -> bool:
        """Return whether the address is in one of the networks."""
        return any(address in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address of a hook: the URL's host, and where the connection goes."""

    scheme: str
    host: str
    port: int
    path: str
    address: Address

    @property
    def url(self) -> str:
        """Return the URL by its checked address, of which the connection is made."""
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def authority(self) -> str:
        """Return what the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def check(url: str, allowed: Allowed) -> tuple[str, str, int, str]:
    """Return scheme, host, port and path of a URL that may be sent to, before it is resolved.

    Raises:
        ConfigError: It is none, has a user or a fragment, is plain HTTP to a name, or its host is
            not among those allowed.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip(".").lower(), parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r} is no address of a hook ({error})") from None
    if parts.scheme not in _PORTS or not host:
        raise ConfigError(f"{url!r} is no address of a hook; write https://host/path")
    if parts.username or parts.password or parts.fragment:
        raise ConfigError(f"{url!r} has a user, a password or a fragment; leave it out")
    literal = _address(host)
    if literal is not None:
        if not allowed.has(literal):
            raise _refused(host)
    elif host not in allowed.names:
        raise _refused(host)
    elif parts.scheme != "https":
        raise ConfigError(
            f"{url!r} is not encrypted; write https://, or the address of a network that "
            "XINJIAN_HOOK_HOSTS names"
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, host, port or _PORTS[parts.scheme], path


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def target(url: str, allowed: Allowed, *, resolve: Resolve = resolve) -> Target:
    """Return where a hook's connection goes.

    Raises:
        ConfigError: As :func:`check`, or the name resolves to a machine inside that no allowed
            network has.
        OSError: The name does not resolve.
    """
    scheme, host, port, path = check(url, allowed)
    literal = _address(host)
    addresses = [literal] if literal else [ip_address(one) for one in resolve(host, port)]
    for address in addresses:
        # A public address is the partner's own business; an inner one must have been allowed.
        if not (address.is_global and not address.is_multicast) and not allowed.has(address):
            raise ConfigError(
                f"{host} resolves to {address}, which is inside; add its network to "
                "XINJIAN_HOOK_HOSTS if that is meant"
            )
    return Target(scheme, host, port, path, addresses[0])


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _name(text: str) -> str:
    name = text.rstrip(".").lower()
    plain = name.isascii() and all(c.isalnum() or c in "-._" for c in name)
    if not plain or name.replace(".", "").isdigit():
        raise ConfigError(
            f"{text!r} is neither a host's name nor a network; write names such as "
            "credit.example.cn and networks such as 10.20.0.0/16, with commas between"
        )
    return name


def _refused(host: str) -> ConfigError:
    return ConfigError(
        f"{host!r} is not among the hosts that may be sent to; the operator adds it to "
        "XINJIAN_HOOK_HOSTS"
    )
