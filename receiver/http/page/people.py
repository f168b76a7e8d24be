"""Who somebody is, as a proxy or an identity provider says, and what they may do here. Pure.

Nobody may do anything unless a list names them: an identity provider may know the whole world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from msgspec import Struct
from multidict import CIMultiDict, CIMultiDictProxy

from receiver.http.tokens import Role
from receiver.plaintext import plain

NAME_MAX = 64
EVERYBODY = "*"


class Person(Struct, frozen=True, kw_only=True):
    """Somebody whom others have identified. `role` is None if no list names them."""

    name: str
    role: Role | None


class Grants(Struct, frozen=True, kw_only=True):
    """Who may look and who may act: `CLAIM=VALUE`, such as `groups=sre`, or `*` for everybody."""

    read: tuple[str, ...] = ()
    operate: tuple[str, ...] = ()

    def role(self, claims: Mapping[str, Any]) -> Role | None:
        """The strongest role of somebody with these claims."""
        if any(_matches(one, claims) for one in self.operate):
            return Role.OPERATE
        return Role.READ if any(_matches(one, claims) for one in self.read) else None


class Proxy(Struct, frozen=True, kw_only=True):
    """A proxy that logs people in and names them in a header. Only requests from `networks` are believed."""

    name_header: str
    groups_header: str
    networks: tuple[IPv4Network | IPv6Network, ...]
    grants: Grants

    def person(self, peer: str, headers: CIMultiDictProxy[str] | CIMultiDict[str]) -> Person | None:
        """The person of a request; None if the request names nobody, or did not come from the proxy."""
        names = headers.getall(self.name_header, []) if self._trusts(peer) else []
        name = plain(names[0], NAME_MAX) if len(names) == 1 else ""
        if not name:
            return None
        groups = headers.getall(self.groups_header, []) if self.groups_header else []
        listed = [group.strip() for line in groups for group in line.split(",") if group.strip()]
        return Person(name=name, role=self.grants.role({"user": names[0].strip(), "groups": listed}))

    def _trusts(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.networks)


def name_of(claims: Mapping[str, Any], wanted: str) -> str:
    """The name of somebody with these claims: `wanted`, else a checked e-mail address, else the subject."""
    for claim in (wanted, "email", "sub"):
        value = next(_values(claim, claims), "")
        if plain(value, NAME_MAX):
            return plain(value, NAME_MAX)
    return "somebody"


def _matches(grant: str, claims: Mapping[str, Any]) -> bool:
    claim, _, wanted = grant.partition("=")
    return grant == EVERYBODY or (bool(wanted) and wanted in _values(claim, claims))


def _values(claim: str, claims: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a claim. Dots lead into objects, as in `realm_access.roles`; an unchecked address is no claim."""
    if claim == "email" and claims.get("email_verified") is not True:
        return
    value: Any = claims.get(claim)
    if value is None and "." in claim:
        value = claims
        for part in claim.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))
