"""Which spec files lie beside the named ones, and how artefacts name a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.write import files


def test_a_link_to_a_named_spec_does_not_lie_beside_it(tmp_path: Path) -> None:
    """However a path is written: the same file is the same spec."""
    (tmp_path / "a.yaml").write_text("a")
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    (tmp_path / "other.yml").write_text("b")
    (tmp_path / "note.txt").write_text("c")
    named = str(tmp_path / ".." / tmp_path.name / "a.yaml")
    assert [content for _, content in files.beside([named, files.STDIN])] == [b"b"]


def test_names_do_not_depend_on_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the root by the path from there; elsewhere by the folder's name; standard input has a name of its own."""
    for folder in ("root/slos", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "linked").symlink_to("root/slos")
    from_outside = files.names_below(str(tmp_path / "root"), [f"{tmp_path}/{name}" for name in NAMED])
    assert list(from_outside.values())[1:] == [
        "slos/a.yaml",
        "slos/b.yaml",
        "slos/a.yaml",
        "d.yaml",
        "elsewhere/e.yaml",
    ]
    monkeypatch.chdir(tmp_path / "root")
    assert files.names_below(".", ["slos/a.yaml", "d.yaml"])["d.yaml"] == "d.yaml"
    assert files.names_below(".", [files.STDIN_NAME]) == {files.STDIN_NAME: files.STDIN_NAME}


NAMED = ("root/slos/a.yaml", "root/slos/../slos/b.yaml", "linked/a.yaml", "root/d.yaml", "elsewhere/e.yaml")
