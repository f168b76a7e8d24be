"""Where policies come from: a directory, read at start and on SIGHUP. What is not sound leaves the last good ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from freezeline.problems import Position, Problems
from receiver.context import Context
from receiver.guard import UnsafeFileError, check_command, check_file
from receiver.journal import JournalError, Tx, View, open_view
from receiver.model import Decision
from receiver.policy import FreezeAction, Policies, Policy, parse_policy

SUFFIX = ".policy.json"
POLICY_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """Policies read from a directory, by name, each with its text."""

    policies: Mapping[str, tuple[Policy, str]]


def read_directory(directory: Path, *, channels: Collection[str], problems: Problems) -> Loaded:
    """Read every `*.policy.json`; everything that is wrong, in all of them, goes into `problems`."""
    found: dict[str, tuple[Policy, str]] = {}
    origin: dict[str, str] = {}
    if not directory.is_dir():
        problems.add("policy/directory", Position(str(directory)), "no such directory")
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        read = _read_one(path, channels, problems)
        if read is None:
            continue
        policy, text = read
        if policy.name in found:
            message = f"two policies are named {policy.name}"
            problems.add("policy/name", Position(str(path)), message, f"the other is {origin[policy.name]}")
            continue
        found[policy.name], origin[policy.name] = (policy, text), str(path)
    _check_flags([policy for policy, _ in found.values()], origin, problems)
    return Loaded(policies=found)


def _read_one(path: Path, channels: Collection[str], problems: Problems) -> tuple[Policy, str] | None:
    try:
        check_file(path)
        with path.open("rb") as file:
            text = file.read(POLICY_MAX_BYTES).decode("utf-8")
    except UnsafeFileError as error:
        hint = "policies carry commands: chown it to root or the receiver's user, and chmod go-w"
        problems.add("policy/unsafe", Position(str(path)), str(error), hint)
        return None
    except (OSError, UnicodeDecodeError) as error:
        problems.add("policy/file", Position(str(path)), f"cannot be read: {error}")
        return None
    policy = parse_policy(text, file=str(path), channels=channels, problems=problems)
    if policy is None:
        return None
    before = len(problems)
    for program in sorted({command[0] for command in policy.commands()}):
        try:
            check_command(program)
        except UnsafeFileError as error:
            hint = "a command must exist, be executable, and be writable by its owner alone (root or this user)"
            problems.add("policy/command", Position(str(path)), str(error), hint)
    return (policy, text) if len(problems) == before else None


def _check_flags(policies: Collection[Policy], origin: Mapping[str, str], problems: Problems) -> None:
    """A flag is one service's."""
    owner: dict[str, str] = {}
    for policy in policies:
        for action in policy.actions.values():
            if not isinstance(action, FreezeAction):
                continue
            service = owner.setdefault(action.flag, policy.service)
            if service != policy.service:
                message = f"flag {action.flag} belongs to both {service} and {policy.service}"
                problems.add("policy/flag", Position(origin[policy.name]), message, "one flag per service")


def parse_known(texts: Mapping[str, str], *, channels: Collection[str]) -> dict[str, Policy]:
    """Policies that the journal remembers, by hash. One that no longer parses is left out."""
    known = {}
    for sha256, text in texts.items():
        policy = parse_policy(text, file=sha256, channels=_Any(channels), problems=Problems())
        if policy is not None:
            known[sha256] = policy
    return known


class _Any(frozenset[str]):
    """Every channel name: a policy that was accepted once stays readable after a channel went."""

    def __contains__(self, _name: object) -> bool:
        return True


def last_good(journal: Path, *, channels: Collection[str]) -> Loaded:
    """The policies that were in force when the journal was last written; none where there is no journal yet."""
    try:
        view, connection = open_view(journal)
    except JournalError:
        return Loaded(policies={})
    try:
        texts = view.policies_in_force()
    finally:
        connection.close()
    known = parse_known(dict(texts.values()), channels=channels)
    return Loaded(policies={name: (known[sha256], text) for name, (sha256, text) in texts.items() if sha256 in known})


def remembered(view: View) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """From the journal: the policies in force by name, and the texts of all that live episodes were opened with."""
    hashes = {episode.policy_sha256 for episode in view.live_episodes()}
    hashes |= {
        episode.policy_sha256
        for action in view.unfinished_actions()
        if (episode := view.episode(action.episode)) is not None
    }
    return view.policies_in_force(), view.policy_bodies(hashes)


async def adopt(context: Context, loaded: Loaded, *, channels: Collection[str]) -> None:
    """Put policies in force: journaled first, then matched against. Raises JournalError."""
    texts = {name: (policy.sha256, text) for name, (policy, text) in loaded.policies.items()}
    in_force, bodies = await context.journal.read(remembered)
    if {name: pair[0] for name, pair in texts.items()} != {name: pair[0] for name, pair in in_force.items()}:
        names = ", ".join(f"{name}@{sha[:12]}" for name, (sha, _) in sorted(texts.items())) or "none"

        def put(tx: Tx) -> None:
            tx.put_policies(texts)
            tx.note(Decision(kind="policies", sentence=f"Policies in force: {names}"))

        await context.journal.write(put)
    known = parse_known(bodies, channels=channels)
    known.update({policy.sha256: policy for policy, _ in loaded.policies.values()})
    context.box.policies = Policies(in_force=tuple(policy for policy, _ in loaded.policies.values()), by_sha256=known)
