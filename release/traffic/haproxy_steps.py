"""The order in which HAProxy's weights change, so that no share on the way lies outside the old and the new share.

HAProxy changes one server's weight per command, and an engine may be killed between two commands. Every step therefore
leaves a share between the old and the new one, and never leaves a backend whose servers all have the weight 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct

from release.traffic.adapter import TrafficError

WEIGHT_MAX = 256
USUAL = 100
"""The weight of the heavier side, where the old weights leave the choice. With several servers a side: `WEIGHT_MAX`,
because small weights leave no share between two shares that lie side by side."""


class Step(Struct, frozen=True, kw_only=True):
    """One command: the server with this number, stable servers after the canary's, gets a weight."""

    server: int
    weight: int


def steps(canary: Sequence[int], stable: Sequence[int], share: Decimal) -> tuple[Step, ...]:
    """The commands from these weights to weights that give the share exactly; all servers of a side get one weight.

    From small weights that somebody else set, there may be no such order. Then the share on the way may be lower than
    both, and is never higher. Raises TrafficError for a share that no weights give.
    """
    old, canaries = (*canary, *stable), len(canary)
    targets = [(one,) * canaries + (other,) * len(stable) for one, other in weights(share, canaries, len(stable))]
    found: list[tuple[Step, ...]] = []
    for new in targets:
        low, high = sorted((share_of(old, canaries), share_of(new, canaries)))
        order = _ordered(old, new, canaries, low, high)
        if order is not None and len(order) <= len(old):
            return order
        found += [order] if order is not None else []
    if found:
        return min(found, key=len)
    highest = max(share_of(old, canaries), Fraction(share))
    order = _ordered(old, targets[0], canaries, Fraction(0), highest)
    if order is None:
        raise TrafficError(f"no order of HAProxy's commands leads to {share:.4%}")
    return order


def share_of(weights: Sequence[int], canaries: int) -> Fraction:
    """The canary's share; the canary's servers come first. 0 where no server takes traffic."""
    total = sum(weights)
    return Fraction(sum(weights[:canaries]), total) if total else Fraction(0)


def weights(share: Decimal, canaries: int, stables: int) -> Iterator[tuple[int, int]]:
    """Weights of each canary server and each stable server that give the share, the most usual ones first."""
    if share in (0, 1):
        ratio = Fraction(1 if share else 0), Fraction(0 if share else 1)
    else:
        exact = Fraction(share) / (1 - Fraction(share)) * Fraction(stables, canaries)
        ratio = Fraction(exact.numerator), Fraction(exact.denominator)
    parts = int(ratio[0]), int(ratio[1])
    if max(parts) > WEIGHT_MAX:
        raise TrafficError(f"no weights up to {WEIGHT_MAX} split {share:.4%} of the traffic off exactly")
    usual = max(1, (USUAL if canaries == stables == 1 else WEIGHT_MAX) // max(parts))
    scales = sorted(range(1, WEIGHT_MAX // max(parts) + 1), key=lambda scale: abs(scale - usual))
    yield from ((parts[0] * scale, parts[1] * scale) for scale in scales)


def _ordered(
    old: Sequence[int], new: Sequence[int], canaries: int, low: Fraction, high: Fraction
) -> tuple[Step, ...] | None:
    """An order of commands from the old to the new weights within two shares; None if there is none.

    Each command takes a server as far as the shares allow; a server may need several commands.
    """
    now, found = list(old), []
    while now != list(new):
        step = next((one for one in _possible(now, new, canaries, low, high)), None)
        if step is None:
            return None
        now[step.server] = step.weight
        found.append(step)
    return tuple(found)


def _possible(now: Sequence[int], new: Sequence[int], canaries: int, low: Fraction, high: Fraction) -> Iterator[Step]:
    """The commands that bring one server nearer to its new weight, each as near as both shares allow."""
    for server, (weight, target) in enumerate(zip(now, new, strict=True)):
        for wanted in range(target, weight, 1 if target < weight else -1):
            tried = [*now[:server], wanted, *now[server + 1 :]]
            if any(tried) and low <= share_of(tried, canaries) <= high:
                yield Step(server=server, weight=wanted)
                break
