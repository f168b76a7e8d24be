"""`generate --shard I/N`: many specs in parts, each with a scope, a folder and shared rules of its own."""

from pathlib import Path

import pytest
import yaml

from freezeline.cli import main
from freezeline.commands.specs import Shard
from tests.unit.generator import specs

COUNT = 4
SERVICES = tuple(f"service-{number}" for number in range(30))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty specs."""
    slos = tmp_path / "slos"
    slos.mkdir()
    for name in SERVICES:
        head = specs.HEAD.replace("checkout", name)
        (slos / f"{name}.yaml").write_text(head + specs.slo(f"objective: 99.9\n{specs.BAD_TOTAL}"))
    return tmp_path


def generate(folder: Path, number: int, *options: str) -> int:
    """One part."""
    argv = ["generate", str(folder / "slos"), "-o", str(folder / "out"), "--scope", "shop", "--only", "rules"]
    return main([*argv, "--shard", f"{number}/{COUNT}", *options])


def test_every_spec_is_in_one_part(folder: Path) -> None:
    """The parts together are the whole, and no run removes the files of another."""
    found = []
    for number in range(1, COUNT + 1):
        assert generate(folder, number) == 0
    for number in range(1, COUNT + 1):
        assert generate(folder, number, "--check") == 0
        files = [path.name for path in (folder / "out" / f"shard-{number}" / "rules").glob("service-*.rules.yml")]
        assert len(files) > 1
        found += files
    assert sorted(found) == sorted(f"{name}.rules.yml" for name in SERVICES)


def test_shared_rules_of_a_part_read_its_own_series(folder: Path) -> None:
    """Two parts in one Prometheus never read each other: each has its scope."""
    assert generate(folder, 2) == 0
    (shared,) = (folder / "out" / "shard-2" / "rules").glob("shared.*.rules.yml")
    groups = yaml.safe_load(shared.read_text())["groups"]
    expressions = [rule["expr"] for group in groups for rule in group["rules"] if "slo:" in rule["expr"]]
    assert expressions != []
    assert [expr for expr in expressions if 'scope="shop-2"' not in expr] == []


def test_a_new_spec_moves_no_other() -> None:
    """The part follows from the name alone."""
    shard = Shard(number=1, count=COUNT)
    before = [name for name in SERVICES if shard.holds(f"slos/{name}.yaml")]
    assert before == [name for name in (*SERVICES, "new") if shard.holds(f"elsewhere/{name}.yaml") and name != "new"]


@pytest.mark.parametrize("given", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4"])
def test_other_texts_are_refused(given: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message shows the form."""
    argv = ["generate", str(folder / "slos"), "-o", str(folder), "--scope", "shop", f"--shard={given}"]
    assert main(argv) == 2
    assert "I/N, such as 3/20" in capsys.readouterr().err


def test_a_part_needs_a_scope(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name for the whole, the parts would choose names by their own specs."""
    assert main(["generate", str(folder / "slos"), "-o", str(folder), "--shard", "1/4"]) == 2
    assert "needs --scope" in capsys.readouterr().err
