"""`not-frozen`: a flag of any content is a freeze, and no flag counts only while a receiver watches."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from release.gate.world import EvidenceError
from release.policy.gate import NotFrozen
from tests.unit.release.gate.worlds import NOW, answer, world, write

CHECK = NotFrozen(id="not-frozen")


def beat(directory: Path, *, age_s: float = 3, policies: Any = None) -> None:
    """A heartbeat beside the flag."""
    at = (NOW - timedelta(seconds=age_s)).isoformat()
    known = {"failure-budget": "sha256:00"} if policies is None else policies
    write(directory, "FREEZE.HEARTBEAT", {"format": "freezeline.heartbeat/1", "at": at, "policies": known})


def said(directory: Path) -> tuple[str, str]:
    """Verdict and reason."""
    found = answer(CHECK, world(directory))
    return found.verdict.value, found.reason


def test_no_flag_and_a_fresh_heartbeat(tmp_path: Path) -> None:
    """A receiver watches, and nothing is frozen."""
    beat(tmp_path)
    assert said(tmp_path) == ("GO", "not frozen, and a receiver watches")


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"{}", b'{"reasons": [{"reason": "5.6 % of requests failed"}]}'])
def test_any_flag_is_a_freeze(tmp_path: Path, content: bytes) -> None:
    """Whatever is in the file; where it says why, the reason is shown. No heartbeat is needed."""
    (tmp_path / "FREEZE.FLAG").write_bytes(content)
    verdict, reason = said(tmp_path)
    assert verdict == "NO_GO"
    assert ("5.6 % of requests failed" in reason) == (b"5.6" in content)


def test_a_dangling_link_is_a_freeze(tmp_path: Path) -> None:
    """The file's existence counts, not what it leads to."""
    (tmp_path / "FREEZE.FLAG").symlink_to(tmp_path / "nowhere")
    assert said(tmp_path)[0] == "NO_GO"


@pytest.mark.parametrize(
    "age_s,policies,reason",
    [
        (31, None, "31 s old"),
        (-31, None, "-31 s old"),
        (3, {}, "does not act by the policy failure-budget"),
        (3, "all", "does not act by the policy failure-budget"),
    ],
)
def test_nobody_watches(tmp_path: Path, age_s: float, policies: Any, reason: str) -> None:
    """An old heartbeat, one of the future, or one of a receiver without this policy."""
    beat(tmp_path, age_s=age_s, policies=policies)
    verdict, why = said(tmp_path)
    assert verdict == "CANNOT_TELL"
    assert reason in why


def test_no_heartbeat(tmp_path: Path) -> None:
    """Without any heartbeat, or with one that cannot be read, nobody can tell."""
    assert said(tmp_path)[0] == "CANNOT_TELL"
    (tmp_path / "FREEZE.HEARTBEAT").write_text("{")
    assert said(tmp_path)[0] == "CANNOT_TELL"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_directory_that_may_not_be_searched(tmp_path: Path) -> None:
    """What cannot be looked at is not free."""
    beat(tmp_path)
    tmp_path.chmod(0o600)
    try:
        assert said(tmp_path)[0] == "CANNOT_TELL"
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    "state,expected",
    [
        ({"services": [{"service": "gateway", "frozen": False}]}, "GO"),
        ({"services": [{"service": "gateway", "frozen": True, "reasons": [{"reason": "by hand"}]}]}, "NO_GO"),
        ({"services": []}, "CANNOT_TELL"),
        ({}, "CANNOT_TELL"),
        (None, "CANNOT_TELL"),
    ],
)
def test_the_receiver_is_asked_too(tmp_path: Path, state: Mapping[str, Any] | None, expected: str) -> None:
    """A freeze that is meant but not on disk yet is a freeze."""
    beat(tmp_path)

    async def ask() -> Mapping[str, Any]:
        if state is None:
            raise EvidenceError("connection refused")
        return state

    assert answer(CHECK, world(tmp_path, receiver=ask)).verdict.value == expected


FREE, FROZEN = ({"services": [{"service": "gateway", "frozen": frozen}]} for frozen in (False, True))


@pytest.mark.parametrize(
    "sources,flag,state,expected",
    [
        # On another machine: no flag to see, and the receiver decides.
        ({"flag": "optional", "receiver": "required"}, "unseen", FREE, ("GO", "receiver")),
        ({"flag": "optional", "receiver": "required"}, "unseen", FROZEN, ("NO_GO", "receiver")),
        ({"flag": "optional", "receiver": "required"}, "unseen", None, ("CANNOT_TELL", "receiver")),
        ({"flag": "optional", "receiver": "required"}, "free", None, ("CANNOT_TELL", "receiver")),
        # On the receiver's machine, which nobody has to ask.
        ({"flag": "required", "receiver": "optional"}, "free", None, ("GO", "flag")),
        ({"flag": "required", "receiver": "optional"}, "unseen", FREE, ("CANNOT_TELL", "flag")),
        ({"flag": "optional", "receiver": "optional"}, "unseen", None, ("CANNOT_TELL", "flag")),
    ],
)
def test_the_sources_of_the_gate_decide(
    tmp_path: Path,
    sources: Mapping[str, str],
    flag: str,
    state: Mapping[str, Any] | None,
    expected: tuple[str, str],
) -> None:
    """A required source that is not readable is never hidden by an optional one, and hides no freeze."""
    if flag == "free":
        beat(tmp_path)

    async def ask() -> Mapping[str, Any]:
        if state is None:
            raise EvidenceError("connection refused")
        return state

    found = answer(CHECK, world(tmp_path, receiver=ask, sources=sources))
    assert (found.verdict.value, found.source) == expected


def test_a_required_receiver_must_be_named(tmp_path: Path) -> None:
    """Without an address nobody can tell, although the flag says "not frozen"."""
    beat(tmp_path)
    found = answer(CHECK, world(tmp_path, sources={"flag": "required", "receiver": "required"}))
    assert (found.verdict.value, found.source) == ("CANNOT_TELL", "receiver")
