"""Rules for every file in the tree."""

import ast
import os
import re

import pytest

from tests.frame.sources import PACKAGES, modules, tracked_files
from tests.tools import ROOT

# Written in parts, so that this file does not name them either: package registries (the user's own settings say which
# are used), and folders of one particular machine.
FORBIDDEN = [
    *(
        ".".join(parts)
        for parts in (
            ("pypi", "org"),
            ("files", "pythonhosted", "org"),
            ("proxy", "golang", "org"),
            ("sum", "golang", "org"),
            ("registry", "npmjs", "org"),
            ("deb", "debian", "org"),
        )
    ),
    *("/".join(("", *parts)) for parts in (("work", "main"), ("work", "shared"), ("tmp", "brief"))),
]


def test_no_file_names_a_registry_or_a_machine() -> None:
    """The tree works wherever it is cloned, with whatever registries are configured there."""
    pattern = re.compile("|".join(rf"(?<![\w.-]){re.escape(text)}\b" for text in FORBIDDEN).encode())
    wrong = [
        f"{path.relative_to(ROOT)}: {match.group().decode()}"
        for path in tracked_files()
        for match in pattern.finditer(path.read_bytes())
    ]
    assert wrong == []


def test_constraints_are_exact_and_name_no_address() -> None:
    """Every line is NAME==VERSION, with or without a marker, or a comment."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 20
    exact = re.compile(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+(; .+)?")
    assert [line for line in lines if not exact.fullmatch(line)] == []


def test_no_grab_bag_modules() -> None:
    """A module's name says what is in it."""
    grab_bags = {"utils", "util", "helpers", "common", "misc"}
    assert [str(path.relative_to(ROOT)) for path in modules(*PACKAGES).values() if path.stem in grab_bags] == []


def test_unit_tests_are_laid_out_like_the_code() -> None:
    """The tests of a folder's code are found at the same place under tests/unit."""
    unit = ROOT / "tests" / "unit"
    folders = {path.parent.relative_to(unit) for path in tracked_files() if path.is_relative_to(unit)}
    assert len(folders) > 20
    assert [str(folder) for folder in sorted(folders) if not (ROOT / folder).is_dir()] == []


def test_acceptance_tests_have_a_group(request: pytest.FixtureRequest) -> None:
    """One worker runs all timed tests, one after the other, and one worker all tests that share servers."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("there is one worker only")
    marked = [item for item in request.session.items if item.get_closest_marker("acceptance") is not None]
    assert [item.nodeid for item in marked if "@" not in item.nodeid] == []
    timed = {item.nodeid.rpartition("@")[2] for item in marked if item.get_closest_marker("timed") is not None}
    assert timed <= {"timed"}


CLOCK = re.compile(r"monotonic\(|time\(\)|total_seconds\(|seconds_until|took_s")


def compares_a_clock(test: ast.AST) -> bool:
    """Whether a test asserts that a time is shorter than a bound."""
    return any(
        isinstance(node, ast.Assert)
        and isinstance(node.test, ast.Compare)
        and any(isinstance(op, (ast.Lt, ast.LtE)) for op in node.test.ops)
        and CLOCK.search(ast.unparse(node.test)) is not None
        for node in ast.walk(test)
    )


def test_acceptance_tests_that_assert_a_time_are_timed() -> None:
    """A time bound that is asserted beside other tests of its kind would measure them too."""
    found, wrong = [], []
    for path in sorted((ROOT / "tests" / "acceptance").rglob("test_*.py")):
        tree = ast.parse(path.read_text())
        whole_file = any("mark.timed" in ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign))
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and compares_a_clock(node):
                found.append(node.name)
                if not whole_file and not any("mark.timed" in ast.unparse(mark) for mark in node.decorator_list):
                    wrong.append(f"{path.relative_to(ROOT)}::{node.name}")
    assert wrong == []
    assert "test_failure_rate_alert_fires_and_resolves_as_promised" in found
    assert "test_a_cancellation_is_seen_within_a_second" in found
