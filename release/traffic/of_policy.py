"""The adapter that a policy names."""

from __future__ import annotations

from collections.abc import Mapping

from release.policy.canary import Canary
from release.traffic.adapter import Reached, Traffic, TrafficError, pass_by
from release.traffic.command import CommandTraffic
from release.traffic.haproxy import Haproxy
from release.traffic.haproxy_map import ChosenInMap
from release.traffic.rendered import Rendered
from release.traffic.runtime_socket import unix_socket


def of_policy(canary: Canary, environment: Mapping[str, str], *, reached: Reached = pass_by) -> Traffic:
    """The adapter. `environment` is what its commands see; `reached` is told each command that a proxy has obeyed.

    Raises TrafficError for a policy without `traffic`.
    """
    if canary.traffic is not None and canary.traffic.haproxy is not None:
        named = canary.traffic.haproxy
        ask = unix_socket(named.socket)
        users = None
        if named.users is not None:
            users = ChosenInMap(ask, named.users, canary=named.canary, reached=reached)
        return Haproxy(
            ask, backend=named.backend, stable=named.stable, canary=named.canary, users=users, reached=reached
        )
    if canary.traffic is not None and canary.traffic.file is not None:
        return Rendered(canary.traffic.file, environment)
    if canary.traffic is not None and canary.traffic.commands is not None:
        return CommandTraffic(canary.traffic.commands, environment)
    raise TrafficError("the policy does not say how traffic is moved: add `traffic:` to the spec's canary")
