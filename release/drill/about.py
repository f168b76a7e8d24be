"""What a rehearsal is about: the policy, the live release, the machine, and when the rehearsal began."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from receiver.plaintext import plain
from receiver.policy.guard import UnsafeFileError, check_command
from receiver.policy.model import Policy, RollbackAction
from receiver.rehearsals import Rehearsal
from receiver.run.commands import ask
from receiver.run.run_environment import child_environment
from release.drill.experiment import DrillError

ROUND = 4


class About(Struct, frozen=True, kw_only=True):
    """What every line of the history says, whatever was rehearsed."""

    kind: str
    policy: Policy
    release: str
    host: str
    started_at: datetime
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def rehearsal(self, **measured: Any) -> Rehearsal:
        """The rehearsal that ends now, with what was measured. Seconds are rounded."""
        return Rehearsal(
            kind=self.kind,
            service=self.policy.service,
            spec=self.policy.spec,
            release=self.release,
            host=self.host,
            started_at=self.started_at,
            ended_at=self.clock(),
            **{name: _rounded(value) for name, value in measured.items()},
        )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, ROUND)
    return {name: _rounded(one) for name, one in value.items()} if isinstance(value, dict) else value


async def live_release(policy: Policy) -> str:
    """The release that the policy's release command prints; "" without such a command. Raises DrillError."""
    for action in policy.actions.values():
        if isinstance(action, RollbackAction) and action.release is not None:
            command, facts = action.release.command, {"SERVICE": policy.service}
            try:
                check_command(command[0])
            except UnsafeFileError as error:
                raise DrillError(
                    f"the release command is not run: {error}; name the release with --release ID"
                ) from error
            env = child_environment(facts, action.env)
            answer = await ask(command, timeout_s=action.release.timeout_s, env=env, cwd=action.cwd)
            if not answer.ok:
                raise DrillError(f"the release command does not name the release: {answer.why}; write --release ID")
            return plain(answer.output.strip().partition("\n")[0], 200)
    return ""
