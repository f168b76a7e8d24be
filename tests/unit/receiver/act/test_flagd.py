"""flagd's file: what is refused, what changes, and what stays as people wrote it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.exception import ParseError

from receiver.act import flagd
from receiver.act.flagd import DEFAULT, TARGETING, FlagdError
from receiver.steps import Step
from tests.disks import public_directory
from tests.tools import ROOT

TEXT = """{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    "durable_worker": {"state": "ENABLED",  "variants": {"on": true, "off": false}, "defaultVariant": "off"},
    "provider_fallback": {
      "state": "ENABLED",
      "variants": {"on": true, "off": false}, "defaultVariant":   "off",
      "targeting": {"if": [{"==": [{"var": "x-provider-fallback"}, "on"]}, "on", null]}
    },
    "größe": {"state": "ENABLED", "variants": {"s": 1.50, "l": 1e2}, "defaultVariant": "s"}
  }
}
"""
RULE = {"if": [{"==": [{"var": "x-provider-fallback"}, "on"]}, "on", None]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of feature flags."""
    path = tmp_path / "flags.json"
    path.write_text(TEXT)
    return path


def put(path: Path, flag: str, **values: object) -> None:
    """Give a flag other values."""
    found = flagd.read(path)
    flagd.write(found, flag, {**found.values(flag), **values})


def test_only_the_wanted_value_changes(file: Path) -> None:
    """Spaces, order, numbers and other flags stay; going back gives the very bytes from before."""
    put(file, "provider_fallback", **{DEFAULT: "on"})
    assert file.read_text() == TEXT.replace('"defaultVariant":   "off"', '"defaultVariant":   "on"')
    put(file, "provider_fallback", **{DEFAULT: "off"})
    assert file.read_text() == TEXT


def test_a_flag_without_a_default_variant_gets_one(file: Path) -> None:
    """The key comes first in the flag, and goes back to null: the code's own default, as flagd has it."""
    file.write_text('{"flags": {"a": {"state": "ENABLED", "variants": {"on": true}}}}')
    put(file, "a", **{DEFAULT: "on"})
    assert (
        file.read_text() == '{"flags": {"a": {"defaultVariant": "on", "state": "ENABLED", "variants": {"on": true}}}}'
    )
    put(file, "a", **{DEFAULT: None})
    assert json.loads(file.read_text())["flags"]["a"]["defaultVariant"] is None


def test_targeting_goes_and_comes_back(file: Path) -> None:
    """An empty targeting is no targeting to flagd."""
    put(file, "provider_fallback", **{DEFAULT: "on", TARGETING: None})
    assert json.loads(file.read_text())["flags"]["provider_fallback"]["targeting"] == {}
    put(file, "provider_fallback", **{DEFAULT: "off", TARGETING: RULE})
    assert json.loads(file.read_text()) == json.loads(TEXT)


@pytest.mark.parametrize("ahead_s", [-1000, 0, 1000])
def test_the_new_file_is_newer_than_the_old_one(file: Path, ahead_s: float) -> None:
    """Readers compare times as floats and never notice an older file, whatever the clock did."""
    os.utime(file, (time.time() + ahead_s,) * 2)
    for variant in ("on", "off", "on"):
        before = os.path.getmtime(file)  # noqa: PTH204 - what readers call
        put(file, "provider_fallback", **{DEFAULT: variant})
        assert os.path.getmtime(file) > before  # noqa: PTH204 - what readers call


@pytest.mark.parametrize("mode", [0o644, 0o664, 0o600])
def test_permissions_stay(file: Path, mode: int) -> None:
    """Whoever could read and write the file still can."""
    file.chmod(mode)
    put(file, "provider_fallback", **{DEFAULT: "on"})
    assert file.stat().st_mode & 0o777 == mode
    assert [path.name for path in file.parent.iterdir()] == ["flags.json"]


def test_a_person_who_writes_at_the_same_moment_is_not_overwritten(file: Path) -> None:
    """The person's file stays, and the next try starts from the person's file."""
    theirs = TEXT.replace("1.50", "2.50")

    def edit(step: Step) -> None:
        if step is Step.SWITCH_TEMPORARY_WRITTEN:
            file.write_text(theirs)

    found = flagd.read(file)
    with pytest.raises(FlagdError, match="at the same moment"):
        flagd.write(found, "provider_fallback", {**found.values("provider_fallback"), DEFAULT: "on"}, edit)
    assert file.read_text() == theirs
    assert [path.name for path in file.parent.iterdir()] == ["flags.json"]


def test_values_that_flagd_would_refuse_are_not_written(file: Path) -> None:
    """A person may have removed the variant to go back to."""
    with pytest.raises(FlagdError, match="unsound"):
        put(file, "provider_fallback", **{DEFAULT: "gone"})
    assert file.read_text() == TEXT


SOUND = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}


@pytest.mark.parametrize(
    "flag, why",
    [
        ({**SOUND, "state": "on"}, "ENABLED or DISABLED"),
        ({**SOUND, "variants": {}}, "no variants"),
        ({**SOUND, "variants": {"off": 1, "on": True}}, "different types"),
        ({**SOUND, "defaultVariant": "maybe"}, "none of off, on"),
        ({**SOUND, "targeting": "on"}, "JsonLogic"),
        ({**SOUND, "targeting": {"if": [True, "on"], "==": [1, 1]}}, "one"),
        (["on"], "no object"),
    ],
)
def test_a_flag_that_flagd_forbids_is_refused(file: Path, flag: object, why: str) -> None:
    """The receiver does not touch a file that its readers would refuse."""
    file.write_text(json.dumps({"flags": {"a": SOUND, "b": flag}}))
    with pytest.raises(FlagdError, match=why):
        flagd.read(file)


@pytest.mark.parametrize("changes", [{"state": "on"}, {"variants": {}}])
def test_flagd_s_own_core_refuses_the_same(changes: dict[str, object]) -> None:
    """The sound flag is sound to flagd too, and what our check refuses is refused there."""
    FlagdCore().set_flags(json.dumps({"flags": {"a": SOUND}}))
    assert flagd.problem_of(SOUND) == ""
    assert flagd.problem_of({**SOUND, **changes})
    with pytest.raises(ParseError):
        FlagdCore().set_flags(json.dumps({"flags": {"a": {**SOUND, **changes}}}))


@pytest.mark.parametrize(
    "text, why",
    [
        ("{", "not JSON"),
        ("[]", "no `flags`"),
        ('{"flags": []}', "no `flags`"),
        ('{"flags": {"a": 1, "a": 2}}', "twice"),
    ],
)
def test_a_file_that_is_not_flagd_s_is_refused(file: Path, text: str, why: str) -> None:
    """Nothing is guessed."""
    file.write_text(text)
    with pytest.raises(FlagdError, match=why):
        flagd.read(file)


def test_a_link_is_refused(file: Path) -> None:
    """A rename would put a file in the place of the link, and the link's target would never change."""
    link = file.with_name("link.json")
    link.symlink_to(file)
    with pytest.raises(FlagdError, match="is a link"):
        flagd.read(link)


def test_obstacles_are_told_beforehand(file: Path) -> None:
    """What would stand in the way of a freeze is known before the freeze."""
    assert flagd.obstacle(file, [("provider_fallback", "on")]) == ""
    assert "no variant local; it has off, on" in flagd.obstacle(file, [("provider_fallback", "local")])
    assert "no flag fallback" in flagd.obstacle(file, [("fallback", "on")])
    assert "No such file" in flagd.obstacle(file.with_name("other.json"), [("provider_fallback", "on")])
    file.write_text(TEXT.replace('"ENABLED",\n', '"DISABLED",\n'))
    assert "DISABLED" in flagd.obstacle(file, [("provider_fallback", "on")])


def test_a_file_that_others_cannot_read_is_told(tmp_path: Path) -> None:
    """The services that read the flags run as other users."""
    place = Path("/") / "flags.json"
    assert flagd.hidden(place) == ""
    tmp_path.chmod(0o700)
    assert "cannot search" in flagd.hidden(tmp_path / "flags.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_and_group_stay_where_the_receiver_is_root(file: Path) -> None:
    """The service's own user still owns its file."""
    os.chown(file, 1234, 2345)
    put(file, "provider_fallback", **{DEFAULT: "on"})
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 2345)


AS_ANOTHER = """
import os, sys
from pathlib import Path
from receiver.act import flagd
os.setgroups([int(group) for group in sys.argv[2:]])
os.setgid(4567)
os.setuid(4567)
found = flagd.read(Path(sys.argv[1]))
flagd.write(found, "provider_fallback", {**found.values("provider_fallback"), flagd.DEFAULT: "on"})
"""


def put_as_another(path: Path, *groups: int) -> str:
    """Set a flag as a user of these groups. The answer is what went wrong."""
    argv = [sys.executable, "-c", AS_ANOTHER, str(path), *map(str, groups)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    return done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_file_that_its_service_would_lose_is_not_touched() -> None:
    """A receiver that is no root keeps the file's group as its member, and otherwise only what others may read."""
    with public_directory() as root:
        path = root / "flags.json"
        path.write_text(TEXT)
        root.chmod(0o777)
        os.chown(path, 4567, 2345)
        path.chmod(0o640)
        assert "has an owner or group that could not read a new file" in put_as_another(path)
        assert (path.read_text(), path.stat().st_gid) == (TEXT, 2345)
        assert put_as_another(path, 2345) == ""
        assert (path.read_text() != TEXT, path.stat().st_gid, path.stat().st_mode & 0o777) == (True, 2345, 0o640)
        path.write_text(TEXT)
        os.chown(path, 1234, 2345)
        path.chmod(0o644)
        assert put_as_another(path) == ""
        assert path.read_text() != TEXT
