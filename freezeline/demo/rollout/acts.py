"""The acts of the demo: which releases are rolled out, and what is wrong with them. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct


class Fault(StrEnum):
    """What is wrong with a release."""

    NONE = "none"
    ERRORS = "errors"
    SLOW = "slow"
    LEAK = "leak"


FIRST = "v1"
"""The release that runs at the beginning."""

GOOD = "v2"
"""The release that becomes the stable one."""


class Act(Struct, frozen=True, kw_only=True):
    """One rollout. `words` say what the release is like; `gate` must stop a bad one."""

    release: str
    fault: Fault
    words: str
    stable: str = GOOD
    gate: str = ""

    @property
    def bad(self) -> bool:
        """Whether the release must be taken back."""
        return self.fault is not Fault.NONE


OPENING = Act(release=GOOD, fault=Fault.NONE, words="a good release", stable=FIRST)

BAD = (
    Act(release="v3", fault=Fault.ERRORS, words="which fails every fourth request", gate="errors"),
    Act(release="v4", fault=Fault.SLOW, words="which answers after 0.4 s", gate="p95"),
    Act(release="v5", fault=Fault.LEAK, words="which leaks memory", gate="memory"),
)

PROGRAMS: Mapping[str, tuple[str, ...]] = {
    FIRST: (),
    GOOD: (),
    "v3": ("--fails-every", "4"),
    "v4": ("--answers-after-s", "0.4"),
    "v5": ("--leaks-bytes", str(1280 * 1024)),
}
"""Release → how its program, `service`, is started."""


def chosen(faults: Sequence[Fault]) -> tuple[Act, ...]:
    """The good release, then the bad ones with these faults; all of them where none is named."""
    return (OPENING, *(act for act in BAD if not faults or act.fault in faults))
