"""`none-firing`: no alert with these labels fires."""

from __future__ import annotations

from receiver.plaintext import plain
from receiver.sources.asking import SourceError
from release.gate.answer import Finding
from release.gate.world import World, cannot_tell, go, no_go
from release.policy.gate import NoneFiring

SOURCE = "prometheus"


async def check(check: NoneFiring, world: World) -> Finding:
    """Ask Prometheus for its firing alerts. Silences do not count: they change who hears, not what is true."""
    threshold = "no alert with " + ", ".join(f'{one.label}{one.op}"{one.value}"' for one in check.match)
    if world.prometheus is None:
        return cannot_tell(check.id, SOURCE, "no Prometheus was named", threshold=threshold)
    try:
        alerts = await world.prometheus.firing_alerts()
    except SourceError as error:
        return cannot_tell(check.id, SOURCE, str(error), threshold=threshold)
    firing = [one for one in alerts if all(each.matches(one.labels) for each in check.match)]
    if not firing:
        return go(check.id, SOURCE, "no such alert fires", value="0", threshold=threshold)
    names = sorted({one.labels.get("alertname", "?") for one in firing})
    reason = plain(f"firing: {', '.join(names)}", 300)
    return no_go(check.id, SOURCE, reason, value=str(len(firing)), threshold=threshold)
