"""Makes what logs people in beside tokens, as the settings say: a trusted proxy, an identity provider."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path

import aiohttp

from freezeline import extras
from receiver.http.page import Grants, Provider, Proxy
from receiver.notify.secret import SecretFile
from receiver.settings import Settings


class LoginSettingsError(Exception):
    """Settings that let nobody log in."""


def proxy_of(settings: Settings) -> Proxy | None:
    """The trusted proxy; None if the settings name none. Raises LoginSettingsError."""
    if not settings.proxy_name_header:
        return None
    if not settings.proxy_addresses:
        raise LoginSettingsError("write `proxy.addresses`: without addresses, the receiver believes no proxy")
    return Proxy(
        name_header=settings.proxy_name_header,
        groups_header=settings.proxy_groups_header,
        networks=tuple(ip_network(one) for one in settings.proxy_addresses),
        grants=Grants(read=settings.proxy_read, operate=settings.proxy_operate),
    )


def provider_of(settings: Settings, http: aiohttp.ClientSession, clock: Callable[[], datetime]) -> Provider | None:
    """The identity provider; None if the settings name none. Raises LoginSettingsError."""
    if not settings.oidc_issuer:
        return None
    if not settings.oidc_client_id:
        raise LoginSettingsError("write `oidc.client_id`: the identity provider must know the receiver's name")
    if importlib.util.find_spec("joserfc") is None:
        raise LoginSettingsError(f"`oidc.issuer` needs joserfc: {extras.install('oidc')}")
    secret = settings.oidc_client_secret_file
    return Provider(
        http=http,
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        secret=SecretFile(path=Path(secret)) if secret else None,
        scope=settings.oidc_scope,
        name_claim=settings.oidc_name_claim,
        grants=Grants(read=settings.oidc_read, operate=settings.oidc_operate),
        public_url=settings.public_url,
        clock=clock,
    )
