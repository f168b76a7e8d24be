"""Counters, gauges and histograms that a simulated system moves through time, failures included."""

import math
import random
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct, field

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]


class Meter(Struct):
    """The series of one scrape target. Values are reproducible: the noise comes from a seed."""

    seed: int = 1
    values: dict[tuple[str, Labels], float] = field(default_factory=dict)
    noise: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.noise = random.Random(self.seed)

    def _wobble(self, share: float) -> float:
        return 1 + share * (2 * self.noise.random() - 1)

    def count(self, name: str, amount: float, **labels: str) -> None:
        """Move a counter on."""
        key = (name, tuple(sorted(labels.items())))
        self.values[key] = self.values.get(key, 0.0) + max(amount * self._wobble(0.2), 0.0)

    def show(self, name: str, value: float, *, wobble: float = 0.05, **labels: str) -> None:
        """Set a gauge."""
        self.values[name, tuple(sorted(labels.items()))] = value * self._wobble(wobble)

    def observe(
        self, name: str, events: float, median: float, bounds: Sequence[float], *, spread: float = 0.5, **labels: str
    ) -> None:
        """Add log-normal observations to a classic histogram."""
        events = max(events * self._wobble(0.2), 0.0)
        median *= self._wobble(0.1)
        for bound in bounds:
            share = 0.5 * (1 + math.erf(math.log(bound / median) / (spread * math.sqrt(2))))
            self._add(f"{name}_bucket", events * share, le=f"{bound:.12g}", **labels)
        self._add(f"{name}_bucket", events, le="+Inf", **labels)
        self._add(f"{name}_count", events, **labels)
        self._add(f"{name}_sum", events * median * math.exp(spread**2 / 2), **labels)

    def _add(self, name: str, amount: float, **labels: str) -> None:
        key = (name, tuple(sorted(labels.items())))
        self.values[key] = self.values.get(key, 0.0) + amount

    def samples(self) -> Iterator[Sample]:
        """Every series with its present value."""
        for (name, labels), value in self.values.items():
            yield name, labels, value


# What a system does to its meter in `dt` seconds, ending at `now`, at a `trouble` between 0 (well) and 1 (on fire).
Step = Callable[[Meter, float, float, float], None]


class Target(Struct, frozen=True, kw_only=True):
    """One scrape target: Prometheus sets `job` and `labels`, the exporter gives the rest."""

    job: str
    instance: str
    step: Step
    labels: Labels = ()
    meter: Meter
    # When the target itself is down, by trouble: `up` is 0 and nothing is scraped.
    down_above: float = 2.0

    @property
    def path(self) -> str:
        """Where the exporter serves it."""
        return f"/{self.job}/{self.instance}"


class Incident(Struct, frozen=True, kw_only=True):
    """Trouble that rises to `level`, holds, and goes, in seconds relative to the start of the live part."""

    begins_s: float
    ends_s: float
    level: float
    rise_s: float = 120.0

    def at(self, offset_s: float) -> float:
        """The trouble that it makes."""
        if not self.begins_s <= offset_s <= self.ends_s:
            return 0.0
        rising = min((offset_s - self.begins_s) / self.rise_s, 1.0)
        falling = min((self.ends_s - offset_s) / self.rise_s, 1.0)
        return self.level * min(rising, falling)


class System(Struct, frozen=True, kw_only=True):
    """One of the systems: its targets, and what befalls it."""

    targets: tuple[Target, ...]
    incidents: tuple[Incident, ...]

    def trouble(self, offset_s: float) -> float:
        """How bad it is, between 0 and 1."""
        return max((incident.at(offset_s) for incident in self.incidents), default=0.0)
