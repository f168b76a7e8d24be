"""A system whose SLOs are grouped, with a spec: none of the committed ones has groups."""

import math

from tests.acceptance.dashboards.meter import Incident, Meter, System, Target

GROUPED_SPEC = """
apiVersion: freezeline/v1
service: grouped
owner: {team: tests}
defaults: {interval: 30s, runbook: "https://runbooks.example.org/{service}/{alert}", grafana: "https://grafana.example.org"}
slos:
  plain: {objective: 99.5, sli: {bad: 'grouped_requests_total{code="500"}', total: grouped_requests_total}}
  by-route:
    objective: 99
    group_by: [route]
    sli: {bad: 'grouped_requests_total{code="500"}', total: grouped_requests_total}
  quiet: {objective: 60, tiers: off, sli: {bad: 'grouped_requests_total{code="500"}', total: grouped_requests_total}}
alerts:
  GroupedFails:
    when: 'sum(rate(grouped_requests_total{code="500"}[1m])) > 0'
    severity: warning
    runbook: "https://wiki.example.org/grouped"
"""


def _step(meter: Meter, now: float, dt: float, trouble: float) -> None:
    for route, hurt in (("/cart", 0.1), ("/pay", 1.0)):
        meter.count("grouped_requests_total", 20 * dt, route=route, code="200")
        meter.count("grouped_requests_total", 20 * dt * (0.001 + 0.4 * hurt * trouble), route=route, code="500")
    for state, count in (("RUNNING", float(trouble > 0.5)), ("DEAD", float(now % 1200 > 600))):
        rollback = {"service": "grouped", "type": "rollback", "state": state}
        meter.show("freezeline_action_state", count, wobble=0, **rollback)
    meter.show("freezeline_frozen", float(trouble > 0.5), wobble=0, service="grouped")
    meter.show("freezeline_episodes_open", 1, wobble=0, service="grouped", severity="critical")


def grouped_system() -> System:
    """Its target, in trouble when the live part begins."""
    return System(
        targets=(Target(job="grouped", instance="grouped-1", step=_step, meter=Meter(seed=20)),),
        incidents=(Incident(begins_s=-800, ends_s=math.inf, level=0.8),),
    )
