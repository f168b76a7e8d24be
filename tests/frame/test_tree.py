"""Rules for every file in the tree."""

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
    exact = re.compile(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+(; .+)?")
    assert [line for line in lines if not exact.fullmatch(line)] == []


def test_no_grab_bag_modules() -> None:
    """A module's name says what is in it."""
    grab_bags = {"utils", "util", "helpers", "common", "misc"}
    assert [str(path.relative_to(ROOT)) for path in modules(*PACKAGES).values() if path.stem in grab_bags] == []


def test_acceptance_tests_run_one_at_a_time(request: pytest.FixtureRequest) -> None:
    """Where two workers share the tests, one of them has all that are timed."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("there is one worker only")
    ungrouped = [
        item.nodeid
        for item in request.session.items
        if item.get_closest_marker("acceptance") is not None and "@" not in item.nodeid
    ]
    assert ungrouped == []
