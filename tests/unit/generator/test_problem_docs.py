"""Codes, docs and scripts agree: every code is documented, and produced by a test."""

import pytest

from tests.tools import ROOT
from tests.unit.generator import codes

PAGE = ROOT / "docs" / "problems.md"
# Codes that need more than a spec: their own tests name them.
ELSEWHERE = ("alertmanager/", "internal/", "live/", "merge/", "promtool/")
FOREIGN = "import/"  # about other tools' files


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    """docs/problems.md has a heading for each code of the source, and no other."""
    assert sorted(codes.documented(PAGE)) == sorted(codes.used())


def test_every_code_is_seen_by_a_script() -> None:
    """Each code of a spec's problems is produced by at least one script."""
    unseen = {code for code in codes.used() if not code.startswith((*ELSEWHERE, FOREIGN))} - codes.in_scripts()
    assert unseen == set()


@pytest.mark.parametrize("code", sorted(code for code in codes.used() if code.startswith(ELSEWHERE)))
def test_every_other_code_is_named_by_a_test(code: str) -> None:
    """Each code that needs a Prometheus, promtool or Alertmanager's file stands in a test that produces it."""
    folder = ROOT / "tests"
    others = (path for path in folder.rglob("*.py") if path.name != "test_problem_docs.py")
    assert any(code in path.read_text(encoding="utf-8") for path in others)


def test_scripts_expect_no_code_that_is_gone() -> None:
    """Every code in a script exists in the source."""
    assert codes.in_scripts() - set(codes.used()) == set()
