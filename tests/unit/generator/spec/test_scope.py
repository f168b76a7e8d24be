"""The scope keeps the sets of two teams apart, and stays where a set is only moved, renamed or extended."""

import shutil
from pathlib import Path

import pytest

from freezeline.cli import main
from freezeline.commands import specs
from generator import pipeline
from generator.write.files import earlier_scope

SPEC = """\
apiVersion: freezeline/v1
service: {service}
owner: {{team: {team}, slack: "#a"}}
slos:
  availability: {{objective: 99, sli: {{bad: 'x_total{{code="500"}}', total: x_total}}}}
{more}"""


def write(folder: Path, service: str, team: str = "a", more: str = "") -> Path:
    """A spec of a service."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{service}.yaml"
    path.write_text(SPEC.format(service=service, team=team, more=more))
    return path


def scope(*paths: Path, given: str | None = None) -> str:
    """The scope of a run over these files or folders."""
    loaded = specs.load([str(path) for path in paths], given)
    assert loaded is not None
    return loaded.output_set.scope


@pytest.mark.parametrize(
    "one,other",
    [(("api", "a"), ("web", "b")), (("api", "a"), ("api", "b")), (("api", "a"), ("web", "a"))],
    ids=["all differs", "one service name, two teams", "one team, two repositories"],
)
def test_two_folders_of_one_name_have_two_scopes(tmp_path: Path, one: tuple[str, str], other: tuple[str, str]) -> None:
    """Both folders are called `slos`, and their rules never read each other's series."""
    folders = [tmp_path / name / "slos" for name in ("one", "other")]
    for folder, (service, team) in zip(folders, (one, other), strict=True):
        write(folder, service, team)
    assert scope(folders[0]) != scope(folders[1])
    for folder in folders:
        assert main(["generate", "--only", "rules", str(folder), "-o", str(folder.parent)]) == 0
    texts = [(folder.parent / "rules" / "shared.30d.rules.yml").read_text() for folder in folders]
    for text, own, foreign in zip(texts, folders, reversed(folders), strict=True):
        assert text.count(f'scope="{scope(own)}"') > 10
        assert f'scope="{scope(foreign)}"' not in text


def test_a_checkout_in_another_place_has_the_same_scope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute or relative, another folder name, files in another order: the same scope and no difference in CI."""
    folder = tmp_path / "repository" / "slos"
    write(folder, "checkout", "payments")
    write(folder, "search", "search")
    assert scope(folder) == "payments/checkout"
    assert scope(folder / "search.yaml", folder / "checkout.yaml") == "payments/checkout"
    moved = tmp_path / "ci" / "build-42" / "objectives"
    shutil.copytree(folder, moved)
    assert scope(moved) == "payments/checkout"
    monkeypatch.chdir(moved.parent)
    assert scope(Path("objectives")) == scope(Path("./objectives/")) == "payments/checkout"
    monkeypatch.chdir(moved)
    assert scope(Path()) == "payments/checkout"


def test_a_run_over_one_file_has_the_scope_of_its_folder(tmp_path: Path) -> None:
    """`explain`, `backfill` and others read the series that the whole folder's rules record."""
    write(tmp_path, "checkout", "payments")
    search = write(tmp_path, "search", "search")
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "other.yaml").write_text("kind: Service\n")
    assert scope(search) == "payments/checkout"
    write(tmp_path, "checkout", "payments", "scope: shop\n")
    assert scope(search) == "shop"
    assert scope(search, given="mine") == "mine"


def test_a_written_scope_is_stronger_than_names(tmp_path: Path) -> None:
    """One spec names it for all; sets that share a folder name one each."""
    write(tmp_path, "checkout", "payments", "scope: shop\n")
    write(tmp_path, "api", "platform")
    assert scope(tmp_path) == "shop"
    api = write(tmp_path, "api", "platform", "scope: platform\n")
    assert scope(api) == "platform"
    assert scope(write(tmp_path, "mail", "mail")) == "mail/mail"


def generate(folder: Path, output: Path, *options: str) -> int:
    """The exit code of a run."""
    return main(["generate", "--only", "rules", str(folder), "-o", str(output), *options])


@pytest.mark.parametrize("form", ["files", "operator"])
def test_a_scope_never_changes_unnoticed(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A service that comes first in the alphabet is refused, until a spec keeps the scope or an option changes it."""
    folder, options = tmp_path / "slos", ("--format", form)
    write(folder, "checkout", "payments")
    assert generate(folder, tmp_path, *options) == 0
    assert earlier_scope(str(tmp_path)) == "payments/checkout"
    write(folder, "zebra", "zoo")
    assert generate(folder, tmp_path, *options) == 0
    write(folder, "api", "platform")
    capsys.readouterr()
    for check in ((), ("--check",)):
        assert generate(folder, tmp_path, *options, *check) == 1
        err = capsys.readouterr().err
        assert "error: the scope changes from payments/checkout to platform/api" in err
        assert f"write `scope: payments/checkout` into {folder / 'api.yaml'}" in err
    assert earlier_scope(str(tmp_path)) == "payments/checkout"
    write(folder, "api", "platform", "scope: payments/checkout\n")
    assert generate(folder, tmp_path, *options) == 0
    write(folder, "api", "platform", "scope: new\n")
    assert generate(folder, tmp_path, *options) == 0
    assert "warning: the scope changes from payments/checkout to new" in capsys.readouterr().err
    assert earlier_scope(str(tmp_path)) == "new"


def test_a_scope_that_needs_quotes_is_read_back(tmp_path: Path) -> None:
    """`--scope` takes any text."""
    write(tmp_path / "slos", "api")
    assert generate(tmp_path / "slos", tmp_path, "--scope", "it's: mine") == 0
    assert earlier_scope(str(tmp_path)) == "it's: mine"


def test_specs_that_are_broken_beyond_their_service_have_a_scope() -> None:
    """Their problems are shown; no traceback."""
    loaded = pipeline.load_set([("a.yaml", b"a: 1\n")], None)
    assert loaded.output_set.scope == "slos"
    assert loaded.problems.errors
