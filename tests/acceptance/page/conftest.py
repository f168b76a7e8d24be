"""The option that writes the pictures of the docs."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-pictures` writes the pages as they look now into docs/pictures/page-*.webp."""
    parser.addoption("--update-pictures", action="store_true", help="write docs/pictures/page-*.webp anew")
