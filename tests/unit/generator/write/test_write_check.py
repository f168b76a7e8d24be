"""`check_all` says what `write_all` would do, and does nothing."""

from pathlib import Path

from generator.write import all_or_none as write
from generator.write.places import MANIFEST

OUTPUTS = {"rules/a.yml": b"one\ntwo\nthree\n", "rules/b.yml": b"b\n"}


def test_an_up_to_date_root_has_no_differences(tmp_path: Path) -> None:
    """Right after writing there is nothing to say."""
    write.write_all(tmp_path, OUTPUTS)
    assert write.check_all(tmp_path, OUTPUTS) == []


def test_one_changed_byte_gives_a_unified_diff(tmp_path: Path) -> None:
    """From what is there to what is generated, ready to be read in a CI log."""
    write.write_all(tmp_path, OUTPUTS)
    (tmp_path / "rules/a.yml").write_bytes(b"one\ntwO\nthree\n")
    expected = (
        "--- rules/a.yml (there)\n+++ rules/a.yml (generated)\n@@ -1,3 +1,3 @@\n one\n-twO\n+two\n three\n"
        "mend it with: freezeline generate slos/\n"
    )
    assert write.differences_text(write.check_all(tmp_path, OUTPUTS), "freezeline generate slos/") == expected


def test_missing_and_stale_files_are_differences(tmp_path: Path) -> None:
    """Each kind is told apart, in the order of paths."""
    write.write_all(tmp_path, OUTPUTS)
    (tmp_path / "rules/a.yml").unlink()
    found = write.check_all(tmp_path, {"rules/a.yml": OUTPUTS["rules/a.yml"]})
    assert [(difference.path, difference.kind) for difference in found] == [
        ("rules/a.yml", "missing"),
        ("rules/b.yml", "stale"),
    ]


def test_the_list_of_generated_files_is_a_difference_only_alone(tmp_path: Path) -> None:
    """Its checksums say nothing to people, and any other difference changes them too."""
    write.write_all(tmp_path, OUTPUTS)
    (tmp_path / MANIFEST).write_text((tmp_path / MANIFEST).read_text().replace("rules/a.yml", "rules/z.yml"))
    found = write.check_all(tmp_path, OUTPUTS)
    assert [(difference.path, difference.kind, difference.diff) for difference in found] == [(MANIFEST, "unlisted", "")]
    assert f"{MANIFEST} lists other generated files than there are" in write.differences_text(found, "mend")


def test_a_missing_last_newline_is_shown(tmp_path: Path) -> None:
    """A difference that a plain diff would hide."""
    write.write_all(tmp_path, OUTPUTS)
    (tmp_path / "rules/b.yml").write_bytes(b"b")
    (found,) = write.check_all(tmp_path, OUTPUTS)
    assert found.diff.endswith("-b\n\\ no newline at the end\n+b\n")


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    """Where no diff can be shown the file is named all the same."""
    write.write_all(tmp_path, {"x": b"\xff"})
    (tmp_path / "x").write_bytes(b"\xfe")
    (found,) = write.check_all(tmp_path, {"x": b"\xff"})
    assert found.diff == "x differs in bytes that cannot be shown\n"


def test_checking_changes_nothing(tmp_path: Path) -> None:
    """Not even the root is made."""
    found = write.check_all(tmp_path / "out", OUTPUTS)
    assert [difference.kind for difference in found] == ["missing"] * 2
    assert list(tmp_path.iterdir()) == []
