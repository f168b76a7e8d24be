"""Sloth on as many SLOs as ours: the rival that stands beside each row. Built by Go into the cache the first time."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from benchmarks.paired import Ratio, in_memory, ratio
from devtools.prometheus_tools import built
from devtools.steps import SetupError

HEAD = """\
version: prometheus/v1
service: service
labels: {team: payments}
slos:
"""
SLO = """\
  - name: {name}
    objective: 99.9
    sli:
      events:
        error_query: 'sum(rate(http_requests_total{{job="{name}",code=~"5.."}}[{{{{.window}}}}]))'
        total_query: 'sum(rate(http_requests_total{{job="{name}"}}[{{{{.window}}}}]))'
    alerting:
      name: SLOBudgetBurn
      page_alert: {{labels: {{severity: critical}}}}
      ticket_alert: {{labels: {{severity: warning}}}}
"""


class Sloth(Struct, frozen=True, kw_only=True):
    """Sloth's program, or why there is none."""

    program: Path | None
    why_not: str = ""

    def measure(self, slos: int, runs: int) -> Ratio | None:
        """`sloth generate` of one file of so many SLOs; None where there is no Sloth."""
        if self.program is None:
            return None
        with in_memory("freezeline-sloth-") as folder:
            spec, rules = Path(folder, "sloth.yml"), Path(folder, "rules.yml")
            spec.write_text(HEAD + "".join(SLO.format(name=f"slo-{number:04d}") for number in range(slos)))
            return ratio((str(self.program), "generate", "-i", str(spec), "-o", str(rules)), runs)

    def beside(self, ours: Ratio, found: Ratio | None) -> str:
        """Sloth's figures, and ours as a share of them."""
        if found is None:
            return f"no Sloth: {self.why_not}"
        shares = f"ours: {ours.wall / found.wall:.2f} × its wall, {ours.cpu / found.cpu:.2f} × its cpu"
        return f"Sloth {found.wall:.1f} × wall {found.cpu:.1f} × cpu {found.peak_mib:.0f} MiB; {shares}"


def find() -> Sloth:
    """Sloth as pinned, built where it is not in the cache yet."""
    try:
        return Sloth(program=built("sloth", os.environ) / "sloth")
    except SetupError as error:
        return Sloth(program=None, why_not=str(error).splitlines()[0])
