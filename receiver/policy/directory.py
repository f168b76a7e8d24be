"""Reads a directory of policy files and reports the problems of all files, also two services that share a flag."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from msgspec import Struct

from freezeline.problems import Position, Problems
from receiver.policy.guard import UnsafeFileError, check_command, check_file
from receiver.policy.model import FreezeAction, Policy
from receiver.policy.read import parse_policy

SUFFIX = ".policy.json"


POLICY_MAX_BYTES = 16 * 1024 * 1024


class Loaded(Struct, frozen=True, kw_only=True):
    """Policies read from a directory, by name, each with the text of its file."""

    policies: Mapping[str, tuple[Policy, str]]


def read_directory(directory: Path, *, channels: Collection[str], problems: Problems, guarded: bool = True) -> Loaded:
    """Read every `*.policy.json` of a directory. The problems of all files go into `problems`.

    Without `guarded`, nobody runs the policies' commands: the commands may be missing, and anybody may own the files.
    """
    found: dict[str, tuple[Policy, str]] = {}
    origin: dict[str, str] = {}
    if not directory.is_dir():
        problems.add("policy/directory", Position(str(directory)), "no such directory", "name a directory of policies")
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        read = _read_one(path, channels, problems, guarded=guarded)
        if read is None:
            continue
        policy, text = read
        if policy.name in found:
            message = f"two policies have the name {policy.name}"
            problems.add(
                "policy/name",
                Position(str(path)),
                message,
                f"rename this policy or the policy in {origin[policy.name]}",
            )
            continue
        found[policy.name], origin[policy.name] = (policy, text), str(path)
    _check_flags([policy for policy, _ in found.values()], origin, problems)
    return Loaded(policies=found)


def _read_one(path: Path, channels: Collection[str], problems: Problems, *, guarded: bool) -> tuple[Policy, str] | None:
    try:
        if guarded:
            check_file(path)
        with path.open("rb") as file:
            text = file.read(POLICY_MAX_BYTES).decode("utf-8")
    except UnsafeFileError as error:
        hint = "run `chown` for root or the receiver's user, and `chmod go-w`, because policies name commands to run"
        problems.add("policy/unsafe", Position(str(path)), str(error), hint)
        return None
    except (OSError, UnicodeDecodeError) as error:
        problems.add(
            "policy/file", Position(str(path)), f"cannot be read: {error}", "remove the file, or write it again"
        )
        return None
    policy = parse_policy(text, file=str(path), channels=channels, problems=problems)
    if policy is None:
        return None
    before = len(problems)
    for program in sorted({command[0] for command in policy.commands()}) if guarded else ():
        try:
            check_command(program)
        except UnsafeFileError as error:
            hint = "run `chmod go-w,u+x` on a program that belongs to root or to the receiver's user"
            problems.add("policy/command", Position(str(path)), str(error), hint)
    return (policy, text) if len(problems) == before else None


def _check_flags(policies: Collection[Policy], origin: Mapping[str, str], problems: Problems) -> None:
    """Report a flag that two services share."""
    owner: dict[str, str] = {}
    for policy in policies:
        for action in policy.actions.values():
            if not isinstance(action, FreezeAction):
                continue
            service = owner.setdefault(action.flag, policy.service)
            if service != policy.service:
                message = f"flag {action.flag} belongs to both {service} and {policy.service}"
                problems.add(
                    "policy/flag", Position(origin[policy.name]), message, "write another `flag` for one of them"
                )
