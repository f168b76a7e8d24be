"""Each dashboard against a real Prometheus that scrapes its system in trouble: no query errs, none is empty."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.model.spec import OutputSet
from generator.panels.base import Json
from generator.pipeline import load_set
from generator.render.dashboards import dashboard
from tests.acceptance.dashboards.ask import Question, ask, questions
from tests.acceptance.dashboards.grouped import GROUPED_SPEC, grouped_system
from tests.acceptance.dashboards.stage import Past, staged
from tests.acceptance.dashboards.workloads import systems
from tests.tools import ROOT, Generation, PrometheusServer
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.old_in_soak, pytest.mark.timeout(600)]

SCOPE = "live"
READY_S = 240.0
NAMES = (*(path.stem for path in sorted((ROOT / "slos").glob("*.yaml"))), "grouped", "overview")


@pytest.fixture(scope="module")
def output_set() -> OutputSet:
    """The committed specs, and one with groups."""
    files = [(f"slos/{path.name}", path.read_bytes()) for path in sorted((ROOT / "slos").glob("*.yaml"))]
    loaded = load_set([*files, ("slos/grouped.yaml", GROUPED_SPEC.encode())], SCOPE)
    assert [str(problem) for problem in loaded.problems.errors] == []
    return loaded.output_set


@pytest.fixture(scope="module")
def dashboards(output_set: OutputSet) -> dict[str, Json]:
    """Every dashboard by the name of its spec."""
    found = {spec.name: dashboard.render(spec, SCOPE) for spec in output_set.specs}
    return found | {"overview": dashboard.render_overview(output_set.specs, SCOPE)}


@pytest.fixture(scope="module")
def server(
    generation: Generation, output_set: OutputSet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    """Prometheus with three hours of past and every system in trouble."""
    directory: Path = tmp_path_factory.mktemp(f"dashboards-{generation.label}")
    past = [Past(length_s=3 * 3600, step_s=15)]
    with staged(generation, directory, output_set, [*systems(), grouped_system()], past) as running:
        yield running


def empty(server: PrometheusServer, found: Json) -> list[Question]:
    """The questions without an answer."""
    at = time.time()
    return [question for question in questions(found) if not ask(server, question, at)]


@pytest.mark.parametrize("name", NAMES)
def test_every_query_of_the_dashboard_has_an_answer(
    server: PrometheusServer, dashboards: dict[str, Json], name: str
) -> None:
    """Panels and annotations; alerts take their time to fire, so the empty ones are asked again until a deadline."""
    found = dashboards[name]
    waiting = empty(server, found)

    def all_answered() -> bool:
        nonlocal waiting
        at = time.time()
        waiting = [question for question in waiting if not ask(server, question, at)]
        return not waiting

    try:
        wait_until(all_answered, READY_S, f"every query of {name} has an answer")
    except AssertionError as error:
        error.add_note("\n".join(f"{question.place}: {question.expr}" for question in waiting))
        raise
    assert empty(server, found) == []


def test_no_rule_fails(server: PrometheusServer) -> None:
    """The rules behind the panels are all healthy."""

    def evaluated() -> list[str]:
        return [
            rule["health"] for group in server.rule_groups() for rule in group["rules"] if rule["health"] != "unknown"
        ]

    wait_until(lambda: len(evaluated()) > 50, READY_S, "rules are evaluated")
    assert set(evaluated()) == {"ok"}


def test_the_variable_offers_every_group(server: PrometheusServer, dashboards: dict[str, Json]) -> None:
    """`label_values(…)` as Grafana asks for it."""
    variable = next(item for item in dashboards["grouped"]["templating"]["list"] if item["name"] == "route")
    selector, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
    assert label == "route"
    assert server.get("/api/v1/label/route/values", {"match[]": selector})["data"] == ["/cart", "/pay"]


def test_choosing_a_group_narrows_the_panels_to_it(server: PrometheusServer, dashboards: dict[str, Json]) -> None:
    """One line for the chosen route in the budget over the window."""
    chosen = [
        question
        for question in questions(dashboards["grouped"], variables={"route": "/pay"})
        if question.place.startswith("Budget over the window") and "by (route)" in question.expr
    ]
    assert [series["metric"] for series in ask(server, chosen[0], time.time())] == [{"route": "/pay"}]


def test_the_answers_of_a_merged_table_have_the_same_rows(
    server: PrometheusServer, dashboards: dict[str, Json]
) -> None:
    """Objectives: each query brings one row per SLO and group, so that the columns stand side by side."""
    rows = [
        {tuple(sorted(series["metric"].items())) for series in ask(server, question, time.time())}
        for question in questions(dashboards["grouped"])
        if question.place.startswith("Objectives")
    ]
    wanted = {
        (("route", "/cart"), ("slo", "by-route")),
        (("route", "/pay"), ("slo", "by-route")),
        (("slo", "plain"),),
        (("slo", "quiet"),),
    }
    assert rows == [wanted] * 5


def test_the_budget_runs_out_sooner_the_faster_it_burns(server: PrometheusServer, dashboards: dict[str, Json]) -> None:
    """Seconds left = budget left × window / burn rate, from the panel's own queries."""
    found = {question.place: question for question in questions(dashboards["grouped"])}
    at = time.time()

    def column(letter: str) -> dict[str, float]:
        answer = ask(server, found[f"Objectives {letter}"], at)
        return {str(sorted(series["metric"].items())): float(series["value"][1]) for series in answer}

    left, burn, runs_out_s = column("C"), column("D"), column("E")
    window_s = 30 * 86400
    expected = {row: min(max(left[row], 0) * window_s / max(burn[row], 1e-9), window_s) for row in left}
    assert runs_out_s == pytest.approx(expected, rel=1e-6)
