"""`flags`: values of feature flags in a context, by flagd's own evaluator."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from release.gate import flags
from release.policy.gate import FlagIs, Flags
from tests.unit.release.gate.worlds import answer, world

BY_HEADER = {"if": [{"==": [{"var": "x-provider-fallback"}, "on"]}, "on", None]}
BY_USER = {"if": [{"starts_with": [{"var": "targetingKey"}, "vip-"]}, "on", "off"]}


def flag(default: str | None = "off", **changes: Any) -> dict[str, Any]:
    """One flag of flagd."""
    return {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": default,
        "targeting": BY_HEADER,
        **changes,
    }


def write(directory: Path, **known: Any) -> None:
    """A file of feature flags."""
    (directory / "flags.json").write_text(json.dumps({"flags": known}))


def check(value: Any, context: dict[str, Any] | None = None, name: str = "fallback") -> Flags:
    """A check of one value."""
    return Flags(id="flags", flag_file="flags.json", values=(FlagIs(flag=name, value=value, context=context or {}),))


ON = {"x-provider-fallback": "on"}


@pytest.mark.parametrize(
    "known,asked,expected,why",
    [
        (flag(), (True, ON), "GO", ""),
        (flag(), (False, {"x-provider-fallback": "off"}), "GO", ""),
        (flag(), (False, {}), "GO", ""),
        (flag("on"), (False, {}), "NO_GO", "fallback is false, but is true"),
        (flag(), (True, {}), "NO_GO", "fallback is true, but is false"),
        (flag(targeting={}), (True, ON), "NO_GO", 'fallback is true for x-provider-fallback="on", but is false'),
        (flag(state="DISABLED"), (False, {}), "NO_GO", "DISABLED"),
        (flag(None), (False, {}), "NO_GO", "default in its code"),
        (flag(), ("on", ON), "NO_GO", "another type"),
        (flag(targeting=BY_USER), (True, {"targetingKey": "vip-1"}), "GO", ""),
        (flag(targeting=BY_USER), (True, {"targetingKey": "u-1"}), "NO_GO", "but is false"),
        (flag(variants={"on": "local", "off": "remote"}), ("local", ON), "GO", ""),
        (flag(variants={"on": 0.5, "off": 0}), (0.5, ON), "GO", ""),
        (flag(variants={"on": 3, "off": 0}), (3, ON), "GO", ""),
        (flag(targeting={"if": [True, "gone"]}), (True, {}), "CANNOT_TELL", "cannot evaluate fallback"),
        (flag(targeting={"no-such-operator": [1]}), (True, {}), "CANNOT_TELL", "cannot evaluate fallback"),
        (flag(state="on"), (True, {}), "CANNOT_TELL", "flagd refuses flags.json"),
    ],
)
def test_the_value_in_a_context(
    tmp_path: Path, known: Any, asked: tuple[Any, dict[str, Any]], expected: str, why: str
) -> None:
    """What a service would get decides; what nobody can evaluate is no NO."""
    write(tmp_path, fallback=known)
    found = answer(check(*asked), world(tmp_path))
    assert (found.verdict.value, why in found.reason) == (expected, True), found.reason


def test_a_missing_flag_is_a_no(tmp_path: Path) -> None:
    """Also where another flag has its value."""
    write(tmp_path, other=flag())
    found = answer(check(True, ON), world(tmp_path))
    assert (found.verdict.value, found.reason) == ("NO_GO", "flags.json lacks fallback")


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_without_the_file_nobody_can_tell(tmp_path: Path, text: str | None) -> None:
    """Missing, not JSON, not flags."""
    if text is not None:
        (tmp_path / "flags.json").write_text(text)
    assert answer(check(True), world(tmp_path)).verdict.value == "CANNOT_TELL"


def test_without_the_extra_nobody_can_tell(tmp_path: Path) -> None:
    """The answer says what to install. A check of presence alone needs no evaluator, and a missing flag is a NO."""
    write(tmp_path, fallback=flag())
    found = asyncio.run(flags.check(check(False), world(tmp_path), installed=lambda: False))
    assert (found.verdict.value, found.reason) == ("CANNOT_TELL", flags.MISSING)
    present = Flags(id="flags", flag_file="flags.json", present=("fallback",))
    assert asyncio.run(flags.check(present, world(tmp_path), installed=lambda: False)).verdict.value == "GO"
    absent = check(True, name="gone")
    assert asyncio.run(flags.check(absent, world(tmp_path), installed=lambda: False)).verdict.value == "NO_GO"


def test_the_extra_is_here() -> None:
    """The tests above ran the evaluator."""
    assert flags.evaluator_is_here()
