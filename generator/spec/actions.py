"""Reads `actions`: what the receiver does when a policy rule says so. An action's keys decide its type."""

from __future__ import annotations

from generator.model.actions import (
    LEGACY_TIMEOUT_MS,
    Action,
    FreezeAction,
    LegacyCommand,
    LegacyFile,
    NotifyAction,
    RollbackAction,
    SwitchAction,
    Undo,
    Verify,
)
from generator.model.command import Command
from generator.reading.reader import NAME, Reader, as_name
from generator.spec.command import read_argv, read_command, read_optional_path, read_path
from generator.units import DAY, HOUR, SECOND

EVENTS = (
    "opened",
    "frozen",
    "freeze_failed",
    "unfreeze_failed",
    "renewed",
    "unfrozen",
    "resolved",
    "expired",
    "flag_restored",
    "rollback_started",
    "rollback_done",
    "rollback_failed",
    "rollback_skipped",
    "rollback_cancelled",
    "rollback_undone",
    "feature_flag_set",
    "feature_flag_back",
    "feature_flag_kept",
    "feature_flag_failed",
    "acknowledged",
    "dead_letter",
    "canary_started",
    "canary_refused",
    "canary_shifted",
    "canary_held",
    "canary_resumed",
    "canary_approval",
    "canary_approved",
    "canary_promoted",
    "canary_aborted",
    "canary_rolled_back",
    "canary_rollback_failed",
    "canary_superseded",
    "canary_silent",
    "canary_done",
)

ROLLBACK_TIMEOUT_MS = 300 * SECOND
GRACE_MS = 10 * SECOND
OUTPUT_MAX_BYTES = 1024 * 1024
VERIFY_TIMEOUT_MS = 30 * SECOND
RELEASE_TIMEOUT_MS = 5 * SECOND
COOLDOWN_MS = HOUR
MAX_PER_DAY = 3
LONGEST_RUN_MS = DAY


_KINDS = {"flag": "freeze", "command": "rollback", "feature_flag": "switch", "channels": "notify"}


def parse_actions(reader: Reader) -> dict[str, Action]:
    """The `actions` mapping. Every problem is reported; an action with a problem is left out."""
    found: dict[str, Action] = {}
    for name, entry in reader.free_entries():
        inner = Reader(entry.value, f"{reader.what}.{name}", reader.problems)
        if not NAME.fullmatch(name):
            hint = "use only letters, digits, `-`, `_` and `.`, at most 64 characters"
            reader.problems.add("spec/name", entry.key_position, f"{reader.what}: {name!r} is not a valid name", hint)
        if not isinstance(entry.value.content, dict):
            continue
        action = _parse_action(name, inner)
        if action is not None and not inner.failed:
            found[name] = action
    reader.finish()
    return found


def _parse_action(name: str, reader: Reader) -> Action | None:
    kinds = [kind for key, kind in _KINDS.items() if key in reader.keys()]  # noqa: SIM118 - a Reader is no mapping
    if len(kinds) != 1:
        hint = (
            "write exactly one of `flag:` (freeze), `command:` (rollback), `feature_flag:` (switch) "
            "and `channels:` (notice)"
        )
        what = "has the keys of several kinds of action" if kinds else "has no key that names a kind of action"
        reader.fail("policy/action", f"{reader.what} {what}", hint)
        return None
    match kinds[0]:
        case "freeze":
            return _freeze(name, reader)
        case "rollback":
            return _rollback(name, reader)
        case "switch":
            return _switch(name, reader)
        case _:
            return _notify(name, reader)


def _freeze(name: str, reader: Reader) -> FreezeAction:
    flag = read_path(reader, "flag")
    if flag.endswith("/"):
        reader.fail(
            "policy/path",
            f"{reader.what}.flag names a directory, not a file",
            f"write the file's path: `flag: {flag}FREEZE.FLAG`",
            key="flag",
        )
    legacy = tuple(_legacy(inner) for inner in reader.readers("legacy"))
    reader.finish()
    return FreezeAction(name=name, flag=flag, legacy=legacy, position=reader.position)


def _legacy(reader: Reader) -> LegacyCommand | LegacyFile:
    if reader.has("file"):
        found: LegacyCommand | LegacyFile = LegacyFile(
            file=read_path(reader, "file"), text=reader.text("text", "frozen={reason}\n")
        )
    else:
        timeout_ms = reader.duration_ms("timeout", LEGACY_TIMEOUT_MS)
        found = LegacyCommand(on=read_argv(reader, "on"), off=read_argv(reader, "off"), timeout_ms=timeout_ms)
    reader.finish()
    return found


def _rollback(name: str, reader: Reader) -> RollbackAction:
    timeout_ms = reader.duration_ms("timeout", ROLLBACK_TIMEOUT_MS)
    if timeout_ms > LONGEST_RUN_MS:
        reader.fail(
            "policy/timeout",
            f"{reader.what}.timeout is longer than one day",
            "write `timeout: 1d` or less",
            key="timeout",
        )
    release = read_command(reader, "release", timeout_ms=RELEASE_TIMEOUT_MS)
    once_per = reader.choice("once_per", ("release", "episode"), "release" if release else "episode")
    if once_per == "release" and release is None:
        hint = "add `release: {command: [/opt/app/current-release.sh]}`, which prints the running release"
        reader.fail(
            "policy/release",
            f"{reader.what} has `once_per: release`, but no command that prints the running release",
            hint,
            key="once_per",
        )
    action = RollbackAction(
        name=name,
        command=Command(argv=read_argv(reader, "command"), timeout_ms=timeout_ms),
        cwd=read_optional_path(reader, "cwd"),
        env=_env(reader),
        grace_ms=reader.duration_ms("grace", GRACE_MS, at_least=0),
        output_max_bytes=reader.integer("output_max_bytes", OUTPUT_MAX_BYTES),
        verify=_verify(reader),
        release=release,
        once_per=once_per,
        cooldown_ms=reader.duration_ms("cooldown", COOLDOWN_MS, at_least=0),
        max_per_day=reader.integer("max_per_day", MAX_PER_DAY, at_least=1),
        undo=_undo(reader, timeout_ms),
        position=reader.position,
    )
    reader.finish()
    return action


def _switch(name: str, reader: Reader) -> SwitchAction:
    action = SwitchAction(
        name=name,
        file=read_path(reader, "file"),
        feature_flag=reader.text("feature_flag"),
        variant=reader.text("variant"),
        everyone=reader.choice("for", ("default", "everyone"), "default") == "everyone",
        position=reader.position,
    )
    if action.file.endswith((".yaml", ".yml")):
        reader.fail(
            "policy/feature-flag",
            f"{reader.what}.file is YAML, and Freezeline changes feature flags in JSON only",
            f"write the file as JSON: `file: {action.file.rpartition('.')[0]}.json`",
            key="file",
        )
    reader.finish()
    return action


def _env(reader: Reader) -> dict[str, str]:
    inner = reader.mapping("env")
    if inner is None:
        return {}
    found = {}
    for key, _ in inner.free_entries():
        if key.startswith("FREEZELINE_") or not key.replace("_", "a").isalnum() or key[0].isdigit():
            hint = "use letters, digits and `_`; only the receiver sets names that begin with FREEZELINE_"
            inner.fail("policy/env", f"{inner.what}: the spec cannot set the variable {key!r}", hint, key=key)
        found[key] = inner.text(key)
    return found


def _verify(reader: Reader) -> Verify | None:
    inner = reader.mapping("verify")
    if inner is None:
        return None
    command = Command(argv=read_argv(inner, "command"), timeout_ms=inner.duration_ms("timeout", VERIFY_TIMEOUT_MS))
    done, not_done = _exit_codes(inner, "done", (0,)), _exit_codes(inner, "not_done", (1,))
    if set(done) & set(not_done):
        inner.fail(
            "policy/verify",
            f"{inner.what}: `done` and `not_done` name the same exit code",
            "write each exit code under `done` or under `not_done`",
        )
    inner.finish()
    return Verify(command=command, done=done, not_done=not_done)


def _exit_codes(reader: Reader, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
    if not reader.has(key):
        return default
    codes = []
    for value in reader.values(key):
        code = value.content
        if not isinstance(code, int) or isinstance(code, bool) or not 0 <= code <= 255:
            hint = "write a whole number from 0 to 255"
            reader.problems.add(
                "policy/verify", value.position, f"{reader.what}.{key}: {value.text!r} is not an exit code", hint
            )
            continue
        codes.append(code)
    if not reader.values(key):
        reader.fail("policy/verify", f"{reader.what}.{key} names no exit code", f"write `{key}: [0]`", key=key)
    return tuple(codes)


def _undo(reader: Reader, timeout_ms: int) -> Undo | None:
    inner = reader.mapping("undo")
    if inner is None:
        return None
    undo = Undo(
        within_ms=inner.duration_ms("within"),
        command=read_argv(inner, "command") if inner.has("command") else (),
        timeout_ms=inner.duration_ms("timeout", timeout_ms),
    )
    inner.finish()
    return undo


def read_channels(reader: Reader, key: str) -> tuple[str, ...]:
    """Names of the receiver's channels; bad and repeated names are reported."""
    names: list[str] = []
    for value in reader.values(key):
        try:
            name = as_name(value)
        except ValueError as error:
            hint = "write the name of a channel in receiver.yaml: letters, digits, `-`, `_` and `.`"
            message = f"{reader.what}.{key}: {str(error).partition(chr(10))[0]}"
            reader.problems.add("policy/channel", value.position, message, hint)
            continue
        if name in names:
            reader.problems.add(
                "policy/channel",
                value.position,
                f"{reader.what}.{key} names the channel {name} twice",
                f"remove one {name}",
            )
        names.append(name)
    return tuple(names)


def _notify(name: str, reader: Reader) -> NotifyAction:
    reader.renamed("moments", "events")
    events = reader.texts("events")
    for event in events:
        if event == "released":
            hint = "write `unfrozen` instead of `released`"
            reader.fail("spec/renamed", "the event `released` is called `unfrozen` now", hint, key="events")
        elif event not in EVENTS:
            hint = f"write some of these events: {', '.join(EVENTS)}"
            reader.fail("policy/event", f"{reader.what}: {event!r} is not an event", hint, key="events")
    channels = read_channels(reader, "channels")
    if not channels:
        reader.fail(
            "policy/channel",
            f"{reader.what} names no channel",
            "write `channels: [log]`, or other channels of receiver.yaml",
            key="channels",
        )
    action = NotifyAction(
        name=name,
        channels=channels,
        fallback=read_channels(reader, "fallback"),
        events=tuple(dict.fromkeys(events)),
        position=reader.position,
    )
    reader.finish()
    return action
