"""Specs written in a test, loaded as from a file."""

from textwrap import dedent

from freezeline.problems import Problem
from generator import pipeline
from generator.model.spec import Spec

BASE = """\
apiVersion: freezeline/v1
service: gateway
owner: {team: payments, slack: "#payments"}
slos:
  failures: {objective: 99.5, sli: {bad: 'requests_total{code="500"}', total: requests_total}}
  latency:  {objective: 95, group_by: [route], sli: {bad: slow_total, total: all_total}}
alerts:
  FailureRateHigh: {when: 'failures > 1', severity: critical}
  QueueLong:       {when: 'queue > 50', severity: warning, team: ui}
"""

ACTIONS = """\
actions:
  freeze:   {flag: /var/lib/freezeline/gateway/FREEZE.FLAG}
  rollback: {command: [/opt/gateway/rollback.sh]}
  tell:     {channels: [log]}
"""


def load(text: str, *, base: str = BASE) -> tuple[Spec, list[Problem]]:
    """The spec made of `base` and `text`, with every problem, sorted by position."""
    loaded = pipeline.load_set([("gateway.yaml", (base + dedent(text)).encode())], "test")
    (spec,) = loaded.output_set.specs
    return spec, list(loaded.problems)


def good(text: str, *, base: str = BASE) -> Spec:
    """A spec without errors; warnings are allowed."""
    spec, problems = load(text, base=base)
    assert [problem for problem in problems if not problem.warning] == []
    return spec


def found(text: str, *, base: str = BASE) -> list[tuple[str, str]]:
    """The problems as (code, the text at the position), also warnings."""
    whole = (base + dedent(text)).split("\n")
    _, problems = load(text, base=base)
    return [
        (problem.code, whole[problem.position.line - 1][problem.position.column - 1 :].strip()) for problem in problems
    ]
