"""`generate --check` says the same from every folder and for every way to write the path of the specs."""

import io
import json
from pathlib import Path

import pytest

from freezeline.cli import OK, PROBLEMS, main

SPEC = """apiVersion: freezeline/v1
service: checkout
owner: {team: payments}
slos:
  availability:
    objective: 99.9
    sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one spec, whose artefacts are up to date."""
    root = tmp_path / "repository"
    (root / "team" / "slos").mkdir(parents=True)
    (root / "team" / "slos" / "checkout.yaml").write_text(SPEC)
    monkeypatch.chdir(root)
    assert main(["generate", "team/slos"]) == OK
    (root / "elsewhere").mkdir()
    return root


@pytest.mark.parametrize(
    "folder,path",
    [
        (".", "team/slos"),
        (".", "./team/slos/"),
        (".", "team/../team/slos/checkout.yaml"),
        (".", "{root}/team/slos"),
        ("team", "slos"),
        ("team/slos", "."),
        ("team/slos", "checkout.yaml"),
        ("elsewhere", "../team/slos"),
        ("..", "repository/team/slos"),
        ("/", "{root}/team/slos"),
        (".", "link"),
    ],
)
def test_check_does_not_depend_on_folder_or_path(
    folder: str, path: str, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files name their spec by its path below the folder that was written into."""
    (repository / "link").symlink_to("team/slos")
    monkeypatch.chdir(repository / folder)
    capsys.readouterr()
    assert main(["generate", "--check", path.format(root=repository)]) == OK, capsys.readouterr().out
    assert capsys.readouterr().out == ""


def test_outside_the_output_folder_a_spec_is_named_by_its_folder(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name does not tell where on this machine the spec lies."""
    assert main(["generate", "-o", "out/there", "team/slos"]) == OK
    monkeypatch.chdir("/")
    assert main(["generate", "--check", "-o", str(repository / "out" / "there"), str(repository / "team/slos")]) == OK
    assert "slos/checkout.yaml" in (repository / "out/there/rules/checkout.rules.yml").read_text().splitlines()[0]


def test_differences_as_json(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Path, kind and diff of each file, and the command that mends them; no checksums."""
    rules, policy = repository / "rules/checkout.rules.yml", repository / "rules/policy/checkout.policy.json"
    rules.write_text(rules.read_text().replace("vector(0.001)", "vector(0.002)"))
    policy.unlink()
    capsys.readouterr()
    assert main(["generate", "--check", "--json", "team/slos"]) == PROBLEMS
    said = json.loads(capsys.readouterr().out)
    assert [(one["path"], one["kind"]) for one in said["differences"]] == [
        ("rules/checkout.rules.yml", "changed"),
        ("rules/policy/checkout.policy.json", "missing"),
    ]
    assert "+        expr: vector(0.001)" in said["differences"][0]["diff"].splitlines()
    assert said["mend"] == "freezeline generate team/slos"
    assert main(["generate", "team/slos"]) == OK
    capsys.readouterr()
    assert main(["generate", "--check", "--json", "team/slos"]) == OK
    assert json.loads(capsys.readouterr().out) == {"differences": [], "mend": None}


def test_warnings_are_shown_in_full_once(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By `validate` and `generate`. Other commands count them, and name the command that shows them."""
    spec = repository / "team" / "slos" / "checkout.yaml"
    spec.write_text(SPEC.replace("code=~", "code="))
    pointer = "1 warning: `freezeline validate team/slos` shows it"
    for words in (["validate", "--no-promtool"], ["generate"]):
        capsys.readouterr()
        assert main([*words, "team/slos"]) == OK
        assert "[promql/pattern-as-text]" in capsys.readouterr().err
    for words in (["generate", "--check"], ["cost"]):
        assert main([*words, "team/slos"]) == OK
        said = capsys.readouterr().err
        assert said.splitlines()[0] == pointer
        assert "pattern-as-text" not in said


def test_a_spec_from_standard_input(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`-` in the place of a path, for every command that reads specs."""
    for words in (["validate", "--no-promtool"], ["explain"], ["cost"], ["generate", "-o", "out"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(SPEC.encode())))
        capsys.readouterr()
        assert main([*words, "-"]) == OK, words
    named = f"name: checkout\n{SPEC}"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(named.encode())))
    assert main(["diff", "team/slos", "-"]) == OK
    assert [path.name for path in (repository / "out" / "rules" / "policy").iterdir()] == ["stdin.policy.json"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(SPEC.replace("99.9", "199").encode())))
    assert main(["validate", "--no-promtool", "-"]) == PROBLEMS
    assert "stdin:6:16: error:" in capsys.readouterr().err
