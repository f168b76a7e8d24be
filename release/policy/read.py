"""Reads what a policy file says about releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from freezeline.problems import Position, Problems
from receiver.policy.formats import NEWEST
from receiver.policy.guard import UnsafeFileError, check_file
from receiver.policy.model import Policy
from receiver.policy.read import parse_policy
from release.policy.canary import Canary
from release.policy.gate import Gate


class ReleasePolicy(Struct, frozen=True, kw_only=True):
    """A policy, with its members `gate` and `canary`. None: the spec has no such section."""

    policy: Policy
    gate: Gate | None
    canary: Canary | None


def read(path: Path, problems: Problems) -> ReleasePolicy | None:
    """Read one policy file. The answer is None after a problem.

    A file that others may write is a problem, because policies name commands to run.
    """
    try:
        text = path.read_text("utf-8")
        check_file(path)
    except UnsafeFileError as error:
        hint = "run `chown` for your user or root, and `chmod go-w`, because policies name commands to run"
        problems.add("policy/unsafe", Position(str(path)), str(error), hint)
        return None
    except (OSError, UnicodeDecodeError) as error:
        problems.add("policy/file", Position(str(path)), f"cannot be read: {error}", "write the path of a policy file")
        return None
    return parse(text, file=str(path), problems=problems)


def parse(text: str, *, file: str, problems: Problems) -> ReleasePolicy | None:
    """Read a policy's text. The schema has checked every member before the values are made."""
    policy = parse_policy(text, file=file, channels=None, problems=problems)
    if policy is None:
        return None
    raw = msgspec.json.decode(text)
    if raw["format"] != NEWEST and {"gate", "canary"} & set(raw):
        message = f"{raw['format']} does not say how the gate and the canary measure"
        problems.add("policy/format", Position(file), message, "run `freezeline generate` to write the policy anew")
        return None
    return ReleasePolicy(policy=policy, gate=_member(raw, "gate", Gate), canary=_member(raw, "canary", Canary))


def _member(raw: dict[str, Any], key: str, kind: type[Any]) -> Any:
    return msgspec.convert(raw[key], kind) if key in raw else None
