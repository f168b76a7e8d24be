"""The OpenAPI document is valid and lists exactly the receiver's routes, with the roles that the routes ask for."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import openapi_spec_validator
import pytest
import yaml
from aiohttp import web

from receiver.context import Context
from receiver.http.access import Access, allowed_hosts
from receiver.http.health import Health
from receiver.http.hearing import Hearing
from receiver.http.tokens import ensure_tokens
from receiver.report import StandingCollector
from receiver.web import Web, make_app
from tests.tools import ROOT


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document."""
    read: dict[str, Any] = yaml.safe_load((ROOT / "receiver" / "openapi.yaml").read_text("utf-8"))
    return read


async def no_probe(_age_s: float) -> None:
    """Health looks at nothing here."""


def app_of(context: Context, root: Path) -> web.Application:
    """The application, as the receiver serves it."""
    shared = Web(
        context=context,
        access=Access(
            tokens=ensure_tokens(root / "tokens"), hosts=allowed_hosts("http://127.0.0.1:9099", "127.0.0.1", ())
        ),
        health=Health(
            context,
            version="0",
            state_dir=root,
            probe=no_probe,
            hearing=Hearing(started_at=context.clock(), expected=False, deaf_after=timedelta(minutes=5)),
        ),
        collector=StandingCollector(),
        version="0",
        public_url="http://127.0.0.1:9099",
        state_dir=root,
        prometheus="",
        source=None,
        on_truncated=lambda: None,
    )
    return make_app(shared)


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    """By the validator of OpenAPI 3.1."""
    openapi_spec_validator.validate(document)


def test_the_document_lists_every_route_and_no_other(
    document: dict[str, Any], context: Context, tmp_path: Path
) -> None:
    """HEAD comes with every GET, so nobody writes HEAD down."""
    app = app_of(context, tmp_path)
    served = {(route.method.lower(), route.resource.canonical) for route in app.router.routes() if route.resource}
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    everything_else = ("*", "/{path}")
    assert everything_else in served
    assert described == {route for route in served if route[0] != "head"} - {everything_else}


def test_every_operation_says_how_it_refuses(document: dict[str, Any]) -> None:
    """A page of another site and another host name are refused everywhere; a missing token where one is needed."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            guarded = operation["security"] and {} not in operation["security"]
            refusals = {"400", "403", "421", *(["401"] if guarded else [])}
            assert refusals <= set(operation["responses"]), (method, path)
            assert {code for code in operation["responses"] if code >= "500"} <= {"503"}, (method, path)
