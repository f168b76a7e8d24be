"""The option that rewrites what scripts expect."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-scripts` writes the actual outputs into tests/scripts/*.txt."""
    parser.addoption("--update-scripts", action="store_true", help="rewrite the expectations in tests/scripts/*.txt")
