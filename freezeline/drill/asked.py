"""What every kind of drill gets from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from msgspec import Struct

from freezeline.remote import Remote, remote
from receiver.policy.model import Policy
from release.drill.about import About
from release.drill.experiment import Told
from release.policy.read import ReleasePolicy


class UsageError(Exception):
    """The options do not fit together. The message says what to write."""


class Asked(Struct, frozen=True, kw_only=True):
    """The policy that is rehearsed, how to begin a line of the history, and whom to tell of each step."""

    policy: ReleasePolicy
    about: About
    told: Told
    say: Callable[[str], None]

    @property
    def rules(self) -> Policy:
        """What the receiver reads of the policy."""
        return self.policy.policy


def operator_of(args: argparse.Namespace) -> Remote:
    """The receiver of --state, or of --url and --token-file, with the token `operate`. Raises RemoteError."""
    return remote(args, "operate")
