"""The rules that a revision of this repository writes for a spec: the present one, or one before to compare with."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from generator.render.rules.rule_file import Group, Rule
from generator.units import parse_duration_ms

ROOT = Path(__file__).parent.parent
PACKAGES = ("freezeline", "generator", "receiver", "release")  # older revisions have no `release`
DEADLINE_S = 300
_GENERATE = "import sys; from freezeline.cli import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """The packages of a revision in a folder of their own. Raises CalledProcessError for an unknown revision."""
    there = _git("ls-tree", "--name-only", revision, *PACKAGES).decode().split()
    archive = _git("archive", revision, *there)
    with tempfile.TemporaryDirectory(prefix="freezeline-revision-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(folder, filter="data")
        yield Path(folder)


def _git(*arguments: str) -> bytes:
    """What git prints. Raises CalledProcessError where git fails."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, timeout=DEADLINE_S).stdout


def generated(root: Path, spec: str, scope: str) -> tuple[list[Group], list[Group]]:
    """The groups of the spec, and those that its SLOs share, as the packages below `root` write them.

    Raises CalledProcessError where `generate` fails.
    """
    with tempfile.TemporaryDirectory(prefix="freezeline-rules-") as folder:
        file, made = Path(folder, "bench.yaml"), Path(folder, "made")
        file.write_text(spec, encoding="utf-8")
        command = [sys.executable, "-c", _GENERATE, "generate", str(file), "--only", "rules", "--scope", scope]
        subprocess.run([*command, "-o", str(made)], cwd=root, check=True, capture_output=True, timeout=DEADLINE_S)
        own = list(_groups(made / "rules" / "bench.rules.yml"))
        shared = [group for path in sorted((made / "rules").glob("shared.*.rules.yml")) for group in _groups(path)]
    return own, shared


def _groups(path: Path) -> Iterator[Group]:
    for group in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)["groups"]:
        rules = tuple(
            Rule(
                record=rule.get("record", ""),
                alert=rule.get("alert", ""),
                expr=rule["expr"],
                labels=rule.get("labels", {}),
            )
            for rule in group["rules"]
        )
        yield Group(name=group["name"], interval_ms=parse_duration_ms(group["interval"]), rules=rules)
