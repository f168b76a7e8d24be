"""What the tools' own programs and kubectl write around an SLO: empty texts, lists, server keys, other objects."""

import re

import pytest

from freezeline.problems import Problems
from generator.imports import IMPORTERS, assemble
from generator.imports.assemble import Outcome
from generator.imports.base import Found, Options
from generator.reading.source import read_documents

SLOTH = """\
apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: a, namespace: one}
spec:
  service: a
  labels: {owner: t}
  slos:
  - name: av
    objective: 99.9
    description: All is well.
    labels: {}
    sli:
      events:
        errorQuery: 'sum(rate(a_total{code="5"}[{{.window}}]))'
        totalQuery: 'sum(rate(a_total[{{.window}}]))'
    alerting: {name: A, annotations: {runbook: 'https://r.example.org'}, pageAlert: {labels: {severity: critical}}}
"""
PYRRA = """\
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata: {name: a, namespace: one, labels: {pyrra.dev/service: a, pyrra.dev/team: t}}
spec:
  target: "99"
  window: 2w
  description: All is well.
  alerting: {name: A}
  indicator:
    ratio:
      errors: {metric: 'a_total{code="5"}'}
      total: {metric: a_total}
      grouping: [path]
"""
OPENSLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: a, displayName: A, labels: {team: t}}
spec:
  description: All is well.
  service: a
  budgetingMethod: Occurrences
  timeWindow: [{duration: 28d, isRolling: true}]
  indicator:
    metadata: {name: x, displayName: X}
    spec:
      description: The SLI.
      ratioMetric:
        counter: true
        good: {metricSource: {metricSourceRef: p, type: Prometheus, spec: {query: 'a{code="2"}'}}}
        total: {metricSource: {metricSourceRef: p, type: Prometheus, spec: {query: a}}}
  objectives: [{displayName: O, target: 0.999, op: lt}]
"""
TEXTS = {"sloth": SLOTH, "pyrra": PYRRA, "openslo": OPENSLO}
# Texts without which an SLO is no SLO.
NEEDED = (
    *("apiVersion", "kind", "name", "service", "objective", "target", "errorQuery", "totalQuery", "metric", "query"),
    *("duration", "budgetingMethod"),
)


def imported(tool: str, text: str) -> tuple[Outcome, Found]:
    """The outcome of one file."""
    found = Found(problems=Problems(), options=Options())
    return assemble.run(IMPORTERS[tool], [("f.yaml", text.encode())], found), found


def specs(outcome: Outcome) -> dict[str, str]:
    """The specs without their first line, which names the file."""
    return {name: data.decode().partition("\n")[2] for name, data in outcome.specs.items()}


def optional_texts(tool: str) -> list[str]:
    """Every optional key of a tool's text that holds a plain word or words."""
    keys = re.findall(r"([A-Za-z./]+): (?=[A-Za-z'])", TEXTS[tool])
    return [key for key in dict.fromkeys(keys) if key not in NEEDED]


@pytest.mark.parametrize("tool,key", [(tool, key) for tool in TEXTS for key in optional_texts(tool)], ids=str)
@pytest.mark.parametrize("blank", ['""', "''", '"  "', "null", "~"])
def test_an_empty_text_is_an_absent_one(tool: str, key: str, blank: str) -> None:
    """The tools' programs write `description: ""` for a text that nobody gave."""
    pattern = re.compile(rf"(?<![A-Za-z./]){re.escape(key)}: (?:'[^']*'|[A-Za-z][^,}}\]\n]*)")
    emptied, count = pattern.subn(f"{key}: {blank}", TEXTS[tool])
    removed = pattern.sub("x-gone: {}", TEXTS[tool])
    assert count
    outcome, found = imported(tool, emptied)
    expected, _ = imported(tool, removed)
    assert found.problems.errors == []
    assert specs(outcome) == specs(expected)


def listed(tool: str) -> str:
    """The tool's object as an item of a list."""
    first, *others = TEXTS[tool].splitlines()
    return "\n".join([f"- {first}", *(f"  {line}" for line in others)]) + "\n"


def kubectl(tool: str) -> str:
    """The tool's object as `kubectl get -o yaml` shows it."""
    server = "metadata: {creationTimestamp: null, uid: x, managedFields: [{a: b}], "
    written = listed(tool).replace("metadata: {", server)
    return f"apiVersion: v1\nkind: List\nitems:\n{written}metadata: {{resourceVersion: ''}}\n"


def own_list(tool: str) -> str:
    """The tool's object in a list of its own kind."""
    return f"apiVersion: x/v1\nkind: ThingList\nitems:\n{listed(tool)}"


@pytest.mark.parametrize("tool", TEXTS)
@pytest.mark.parametrize("wrapped", [listed, kubectl, own_list, lambda tool: f"- {{kind: List, items: {json(tool)}}}"])
def test_lists_are_read_item_by_item(tool: str, wrapped: object) -> None:
    """A list of objects, and every kind of Kubernetes list, gives the SLOs of its items without a further warning."""
    assert callable(wrapped)
    outcome, found = imported(tool, wrapped(tool))
    expected, before = imported(tool, TEXTS[tool])
    assert specs(outcome) == specs(expected) != {}
    assert [problem.message for problem in found.problems] == [problem.message for problem in before.problems]


def json(tool: str) -> str:
    """The object in one line, inside a list."""
    documents = read_documents("f", TEXTS[tool].encode(), Problems())[1]
    return f"[{flow(documents[0].content)}]"


def flow(content: object) -> str:
    """YAML in one line."""
    if isinstance(content, dict):
        return "{" + ", ".join(f"{key}: {flow(entry.value.content)}" for key, entry in content.items()) + "}"
    if isinstance(content, tuple):
        return "[" + ", ".join(flow(item.content) for item in content) + "]"
    return "'" + content.replace("'", "''") + "'" if isinstance(content, str) else str(content).lower()


@pytest.mark.parametrize("tool", TEXTS)
def test_other_objects_are_left_out_by_name(tool: str) -> None:
    """A ConfigMap beside an SLO is named in a warning. A ConfigMap that holds SLOs is an error that names the map."""
    other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n"
    outcome, found = imported(tool, f"{other}---\n{TEXTS[tool]}")
    assert specs(outcome) == specs(imported(tool, TEXTS[tool])[0])
    first = next(iter(found.problems))
    assert (str(first.position), first.warning) == ("f.yaml:2:7", True)
    assert "ConfigMap settings" in first.message
    inside = "data:\n  slo.yaml: |\n" + "".join(f"    {line}\n" for line in TEXTS[tool].splitlines())
    outcome, found = imported(tool, other.replace("data: {a: b}\n", inside))
    assert outcome.specs == {}
    assert ["ConfigMap settings" in problem.hint for problem in found.problems.errors] == [True]


@pytest.mark.parametrize("tool", TEXTS)
def test_the_first_of_several_owners(tool: str) -> None:
    """A label with a list of owners names the first, with a note at this label, not at the labels before it."""
    text = re.sub(r"(owner|team): t\b", r"a: b, \1: [first, second]", TEXTS[tool])
    outcome, found = imported(tool, text)
    assert "  team: first\n" in next(iter(specs(outcome).values()))
    notes = [problem for problem in found.problems if problem.code == "import/no-team"]
    assert [(note.warning, "first, second" in note.message) for note in notes] == [(True, True)]
    before = text[: text.index("[first")]
    place = (before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
    assert [(note.position.line, note.position.column) for note in notes] == [place]


def test_the_owner_of_a_service_object() -> None:
    """An SLO of OpenSLO without an owner has the owner of its service, wherever the service stands."""
    service = "---\napiVersion: openslo/v1\nkind: Service\nmetadata: {name: a, labels: {owner: [s]}}\nspec: {}\n"
    outcome, _ = imported("openslo", OPENSLO.replace(", labels: {team: t}", "") + service)
    assert "  team: s\n" in next(iter(specs(outcome).values()))


def test_namespaces_are_no_duplicates() -> None:
    """Objects of one name in two namespaces become two SLOs; twice in one namespace is still a duplicate."""
    outcome, found = imported("pyrra", f"{PYRRA}---\n{PYRRA.replace('namespace: one', 'namespace: two')}")
    assert found.problems.errors == []
    assert [slo.name for slo in outcome.slos] == ["one-a", "two-a"]
    _, found = imported("pyrra", f"{PYRRA}---\n{PYRRA}")
    assert [problem.code for problem in found.problems.errors] == ["import/duplicate"]


@pytest.mark.parametrize("tool", TEXTS)
def test_every_reserved_label_has_a_way_through(tool: str) -> None:
    """Groups by labels that Freezeline's own series use get another name, with a note at the grouping."""
    text = {
        "sloth": SLOTH.replace("sum(", "sum by (service, path) ("),
        "pyrra": PYRRA.replace("[path]", "[service, path]"),
        "openslo": OPENSLO.replace("'a{code=\"2\"}'", "'sum by (service, path) (rate(a{code=\"2\"}[5m]))'").replace(
            "query: a}", "query: 'sum by (service, path) (rate(a[5m]))'}"
        ),
    }[tool]
    outcome, found = imported(tool, text)
    assert found.problems.errors == []
    written = next(iter(specs(outcome).values()))
    assert "    group_by:\n      - exported_service\n      - path\n" in written
    assert '"exported_service", "$1", "service", "(.*)"' in written
    notes = [problem for problem in found.problems if problem.code == "import/renamed"]
    assert ["service becomes exported_service" in note.message for note in notes] == [True]


def test_a_problem_of_the_spec_stands_at_its_part_of_the_file() -> None:
    """A fault that the spec's own checks find is shown at the part of the foreign file that it comes from."""
    _, found = imported("pyrra", PYRRA.replace("[path]", "[le]").replace('"99"', "99"))
    assert [(str(one.position), one.code) for one in found.problems.errors] == [("f.yaml:13:17", "spec/reserved-label")]
    _, found = imported("sloth", SLOTH.replace("https://r.example.org", "no-url"))
    assert [(str(one.position), one.code) for one in found.problems.errors] == [("f.yaml:16:15", "spec/url")]


def test_hints_of_unknown_keys_name_no_key_that_the_file_has() -> None:
    """`did you mean` names only a key that the mapping lacks."""
    alerting = "{burnrates: true, burnRateType: static, burnrate: true, absnt: true}"
    _, found = imported("pyrra", PYRRA.replace("{name: A}", alerting))
    unknown = [problem for problem in found.problems if problem.code == "import/unknown-key"]
    hints = {problem.message.rpartition(" ")[2]: problem.hint for problem in unknown}
    assert "did you mean" not in hints["'burnrate'"]
    assert hints["'absnt'"] == "did you mean `absent`?"


def test_objects_of_another_tool_are_refused() -> None:
    """An importer refuses the objects of another tool, and names the way."""
    for tool, text in TEXTS.items():
        for other in TEXTS.keys() - {tool}:
            outcome, found = imported(other, text)
            assert outcome.specs == {}
            assert [problem.code for problem in found.problems.errors] == ["import/kind"]
