"""The JSON Schema for editors agrees with the loader, as far as a schema can express the rules."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from freezeline.problems import Problems
from generator.pipeline import load_set
from generator.reading.source import read_source
from tests.tools import ROOT
from tests.unit.generator import keys, specs

SCHEMA = json.loads((ROOT / "generator" / "spec" / "spec.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

# What a schema sees too. It knows nothing of YAML, of PromQL, of other places in the spec, or of arithmetic.
SEEN = frozenset(
    {
        "spec/unknown-key",
        "spec/missing-key",
        "spec/version",
        "spec/sli-type",
        "spec/condition",
        "spec/threshold",
        "alert/name",
        "alert/reserved",
        "spec/label",
        "policy/trigger",
        "policy/path",
        "policy/event",
        "policy/env",
        "routing/slack",
        "routing/smtp",
        "routing/medium",
        "routing/no-target",
        "canary/no-stage",
        "canary/abort",
        "canary/ask",
        "canary/than",
        "canary/traffic",
        "dashboard/query",
        "dashboard/link",
        "gate/empty",
        "spec/calendar",
        "spec/url",
    }
)
# … but not all of what has these codes.
PARTLY = {
    "broken-canary-same-server": ("canary/traffic",),
    "broken-action-path": (),
    "broken-action-flag-folder": ("policy/path",),
}


def read(data: bytes) -> Any:
    """A spec file as plain data; None if the text is not YAML."""
    root = read_source("spec.yaml", data, Problems()).root
    return None if root is None else keys.plain(root)


def test_the_schema_is_a_schema() -> None:
    """The schema is valid for the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name, data", specs.good())
def test_what_the_loader_takes_the_schema_takes(name: str, data: bytes) -> None:
    """The schema accepts every valid spec: no editor underlines one."""
    errors = [f"{list(error.absolute_path)}: {error.message[:200]}" for error in VALIDATOR.iter_errors(read(data))]
    assert errors == []


@pytest.mark.parametrize("name, data", specs.of_scripts("broken-"))
def test_what_a_schema_can_see_it_sees(name: str, data: bytes) -> None:
    """The schema refuses a spec that breaks a rule which a schema can express."""
    content = read(data)
    if content is None:
        return
    case = name.partition("/")[0]
    found = {problem.code for problem in load_set([(name.rpartition("/")[2], data)], "slos").problems.errors}
    if case in PARTLY:
        found -= set(PARTLY[case])
    if found & SEEN:
        assert not VALIDATOR.is_valid(content), sorted(found & SEEN)


def test_each_mistake_that_a_schema_can_see_is_tried() -> None:
    """The test above looks at something for each of them."""
    found = {
        problem.code
        for name, data in specs.of_scripts("broken-")
        if read(data) is not None
        for problem in load_set([(name.rpartition("/")[2], data)], "slos").problems.errors
        if problem.code not in PARTLY.get(name.partition("/")[0], ())
    }
    assert SEEN - found == set()


def nodes(schema: Any, path: keys.Path) -> Iterator[dict[str, Any]]:
    """Every mapping schema for a path, with references and alternatives resolved."""
    if "$ref" in schema:
        yield from nodes(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], path)
        return
    for branch in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from nodes(branch, path)
    if not path:
        if "properties" in schema:
            yield schema
        return
    if path[0] == keys.ANY and "items" in schema:
        yield from nodes(schema["items"], path[1:])
    elif path[0] in schema.get("properties", {}):
        yield from nodes(schema["properties"][path[0]], path[1:])
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], path[1:])


def test_the_schema_has_the_loader_s_keys() -> None:
    """At every place of a spec, schema and loader know the same keys."""
    assert len(keys.everything()) > 40
    for place, known in keys.everything().items():
        in_schema = {key for node in nodes(SCHEMA, place) for key in node["properties"]}
        assert (place, sorted(in_schema)) == (place, sorted(known))
