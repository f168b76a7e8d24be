"""Who hears of Freezeline's alerts in an existing tree of routes, walked as Alertmanager walks the tree.

Reported are alerts that reach only receivers without any notifier. In a file with hand-written routes to Freezeline's
receiver, alerts that do not reach the receiver are reported too, and a watchdog that reaches anybody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import yaml
from msgspec import Struct

from freezeline.problems import Problems
from generator import names
from generator.existing import matchers
from generator.existing.document import Document, Text, entry, is_true, items, mapping, mappings
from generator.existing.matchers import Matchers
from generator.existing.our_alerts import OurAlert

_SHOWN = 3
_LOUD = ("critical", "warning")


class _Route(Struct, frozen=True, kw_only=True):
    """One route. `node` is the route in the user's file; Freezeline's own routes have none."""

    receiver: str
    matchers: Matchers
    goes_on: bool
    node: yaml.Node | None
    routes: tuple[_Route, ...] = ()

    def reached(self, labels: Mapping[str, str]) -> Iterator[_Route]:
        """The routes that notify, in order; none if the route does not match."""
        if not matchers.accept(self.matchers, labels):
            return
        found = False
        for route in self.routes:
            inner = list(route.reached(labels))
            found = found or bool(inner)
            yield from inner
            if inner and not route.goes_on:
                return
        if not found:
            yield self


class Tree(Struct, frozen=True, kw_only=True):
    """The routes and receivers of a file, with Freezeline's parts added or as the user wrote them."""

    document: Document
    root: _Route
    receivers: Mapping[str, Mapping[str, Text]]
    ours: frozenset[str]  # the receivers that send to Freezeline

    def speaks(self, receiver: str) -> bool:
        """Whether a receiver notifies anybody."""
        return any(key.endswith("_configs") and value for key, value in self.receivers.get(receiver, {}).items())


def tree(
    document: Document,
    webhook_urls: Sequence[str],
    first: Sequence[Mapping[str, Text]] = (),
    last: Sequence[Mapping[str, Text]] = (),
    added: Sequence[Mapping[str, Text]] = (),
) -> Tree:
    """The tree of a file, with these routes around the user's and these receivers added."""
    found = entry(document.root, "route")
    data = mapping(document.data.get("route"))
    node = found[1] if found is not None else document.root
    own = _route(data, node, "")
    before, after = (tuple(_route(route, None, own.receiver) for route in some) for some in (first, last))
    receivers = {str(one.get("name")): one for one in (*added, *mappings(document.data.get("receivers")))}
    root = _Route(receiver=own.receiver, matchers=(), goes_on=False, node=node, routes=(*before, *own.routes, *after))
    ours = frozenset(name for name, one in receivers.items() if _sends_to(one, webhook_urls))
    return Tree(document=document, root=root, receivers=receivers, ours=ours)


def _route(data: Mapping[str, Text], node: yaml.Node | None, inherited: str) -> _Route:
    receiver = str(data.get("receiver") or inherited)
    inner = mappings(data.get("routes"))
    nodes: Sequence[yaml.Node | None] = items(node, "routes") if node is not None else [None] * len(inner)
    return _Route(
        receiver=receiver,
        matchers=matchers.of(data),
        goes_on=is_true(data.get("continue")),
        node=node,
        routes=tuple(_route(one, at, receiver) for one, at in zip(inner, nodes, strict=False)),
    )


def _sends_to(receiver: Mapping[str, Text], urls: Sequence[str]) -> bool:
    return any(one.get("url") in urls for one in mappings(receiver.get("webhook_configs")))


def check(found: Tree, alerts: Iterable[OurAlert], problems: Problems) -> None:
    """Warn of alerts that nobody hears of, that Freezeline's receiver misses, and of a watchdog that people hear."""
    unheard: dict[int, list[OurAlert]] = {}
    missed: dict[int, list[OurAlert]] = {}
    nodes: dict[int, yaml.Node] = {}
    for alert in alerts:
        reached = list(found.root.reached(alert.labels))
        people = [route for route in reached if route.receiver not in found.ours]
        last = next((route for route in reversed(reached) if route.node is not None), found.root)
        node = last.node if last.node is not None else found.document.root
        nodes[id(node)] = node
        if len(people) == len(reached):
            missed.setdefault(id(node), []).append(alert)
        if alert.name == names.WATCHDOG:
            _check_watchdog(found, people, problems)
        elif _unheard(found, alert, people):
            unheard.setdefault(id(node), []).append(alert)
    for key, lost in missed.items():
        hint = "put the routes of Freezeline's receiver before this route, as `freezeline alertmanager merge` does"
        message = f"Freezeline's receiver does not hear of {_shown(lost)}: this route ends the search"
        problems.add("alertmanager/missed", found.document.position(nodes[key]), message, hint, warning=True)
    for key, silent in unheard.items():
        hint = "add an address under the spec's `owner:`, or a notifier to the receiver"
        message = f"nobody is told of {_shown(silent)}: this route leads to a receiver without notifiers"
        problems.add("alertmanager/unheard", found.document.position(nodes[key]), message, hint, warning=True)


def _unheard(found: Tree, alert: OurAlert, people: Sequence[_Route]) -> bool:
    loud = alert.labels.get(names.SEVERITY) in _LOUD and alert.service != "freezeline"
    return loud and not alert.told and not any(found.speaks(route.receiver) for route in people)


def _check_watchdog(found: Tree, people: Sequence[_Route], problems: Problems) -> None:
    for route in people:
        if route.node is not None and found.speaks(route.receiver):
            hint = (
                f"put a route `matchers: ['alertname=\"{names.WATCHDOG}\"']` to Freezeline's receiver first, "
                "without `continue`"
            )
            message = (
                f"the watchdog, which always fires, reaches {route.receiver} by this route; "
                "a new alert in the same group waits for group_interval"
            )
            problems.add("alertmanager/watchdog", found.document.position(route.node), message, hint, warning=True)


def _shown(alerts: Sequence[OurAlert]) -> str:
    more = f" and {len(alerts) - _SHOWN} more" if len(alerts) > _SHOWN else ""
    return "; ".join(map(str, alerts[:_SHOWN])) + more
