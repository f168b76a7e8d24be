"""Asks every check of a gate, all at once, and adds the answers up."""

from __future__ import annotations

import asyncio

from receiver.decide.model import stamp_ms
from release.gate.answer import Report, Verdict, is_optional, overall
from release.gate.ask import ask
from release.gate.world import World
from release.policy.gate import Gate


async def run(gate: Gate, world: World) -> Report:
    """The report, with the findings in the order of the policy."""
    findings = await asyncio.gather(*(ask(check, world) for check in gate.checks))
    return Report(
        service=world.policy.service,
        at=stamp_ms(world.now),
        verdict=overall(findings, gate.sources),
        findings=tuple(findings),
        optional=frozenset(
            one.id for one in findings if one.verdict is Verdict.CANNOT_TELL and is_optional(one, gate.sources)
        ),
    )
