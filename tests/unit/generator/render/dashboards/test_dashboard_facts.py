"""Facts from a real Grafana 10, and the rule to use only what 9.0 knows: each held for every dashboard."""

import json
import re
from collections.abc import Iterator

import promql_parser
import pytest

from generator.panels import PANELS, is_unit
from generator.panels.base import DATASOURCE, Json
from generator.render.dashboards import dashboard, grafana_com
from tests.unit.generator.render.dashboards import grafana_9
from tests.unit.generator.render.dashboards.examples import dashboards, panels
from tests.unit.generator.render.dashboards.output_labels import output_labels

ALL = list(dashboards())


@pytest.fixture(params=[found for _, found in ALL], ids=[name for name, _ in ALL])
def found(request: pytest.FixtureRequest) -> Json:
    """Each dashboard in turn."""
    chosen: Json = request.param
    return chosen


def thresholds(found: Json) -> Iterator[list[Json]]:
    """Every list of threshold steps: of panels, and of single fields."""
    for panel in panels(found):
        yield panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        for override in panel["fieldConfig"]["overrides"]:
            for item in override["properties"]:
                if item["id"] == "thresholds":
                    yield item["value"]["steps"]


def expressions(found: Json) -> Iterator[str]:
    """Every query: of panels and annotations."""
    for panel in panels(found):
        for target in panel["targets"]:
            yield target["expr"]
    for annotation in found["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["expr"]


def without_variables(expression: str) -> str:
    """The query as Prometheus would get it, near enough to be parsed."""
    ranges = re.sub(r"\$__(rate_interval|interval|range)\b", "5m", expression)
    return re.sub(r'"\$\w+"', '".*"', ranges)


def test_the_dashboards_have_all_that_is_looked_at() -> None:
    """The tests below hold for each thing of a kind; here, each kind is there."""
    all_panels = [panel for _, found in ALL for panel in panels(found)]
    assert {panel["type"] for panel in all_panels} == set(PANELS)
    tables = [panel for panel in all_panels if panel["type"] == "table"]
    assert any(len(panel["targets"]) > 1 for panel in tables)
    assert {item["id"] for panel in tables for item in panel.get("transformations", ())} >= {"merge", "organize"}
    assert {len(steps) > 1 for _, found in ALL for steps in thresholds(found)} == {True, False}
    properties = {
        item["id"]
        for panel in all_panels
        for override in panel["fieldConfig"]["overrides"]
        for item in override["properties"]
    }
    assert properties >= {"unit", "thresholds", "links", "custom.displayMode"}
    mappings = {item["type"] for panel in all_panels for item in panel["fieldConfig"]["defaults"]["mappings"]}
    assert mappings >= {"value", "special"}
    variables = [variable["type"] for _, found in ALL for variable in found["templating"]["list"]]
    assert (variables.count("datasource"), "query" in variables) == (len(ALL), True)


def test_it_is_classic_json_of_schema_36(found: Json) -> None:
    """Later Grafanas migrate what is older than 37 (legends) and 38 (table cells); 9.0 takes it as it is."""
    assert (found["schemaVersion"], type(found["panels"])) == (36, list)
    assert set(found) - grafana_9.DASHBOARD_KEYS == set()


def test_its_id_is_null(found: Json) -> None:
    """A number would overwrite whatever dashboard has it in that Grafana."""
    assert found["id"] is None


def test_its_uid_is_short_and_plain(found: Json) -> None:
    """Grafana refuses more than 40 characters; spaces and dots break its URLs."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", found["uid"])


def test_it_has_a_variable_for_the_data_source(found: Json) -> None:
    """Nobody has to edit a dashboard to point it at another Prometheus."""
    first = found["templating"]["list"][0]
    assert (first["name"], first["label"], first["type"], first["query"]) == (
        "datasource",
        "Data source",
        "datasource",
        "prometheus",
    )


def test_panel_ids_are_unique(found: Json) -> None:
    """Grafana addresses panels by id; rows are panels too."""
    ids = [panel["id"] for panel in dashboard.all_panels(found)]
    assert sorted(set(ids)) == sorted(ids)
    assert all(isinstance(one, int) and one > 0 for one in ids)


def test_every_panel_has_a_description(found: Json) -> None:
    """What it shows, for whoever sees it for the first time at night."""
    assert [panel["title"] for panel in panels(found) if len(panel["description"]) < 15] == []


def test_every_panel_has_a_unit_of_grafana_9(found: Json) -> None:
    """A unit that Grafana does not know is dropped silently."""
    units = [panel["fieldConfig"]["defaults"]["unit"] for panel in panels(found)]
    units += [
        item["value"]
        for panel in panels(found)
        for override in panel["fieldConfig"]["overrides"]
        for item in override["properties"]
        if item["id"] == "unit"
    ]
    assert [unit for unit in units if not is_unit(unit)] == []


def test_every_target_has_its_own_ref_id(found: Json) -> None:
    """Transformations and alerts name queries by it."""
    for panel in panels(found):
        names = [target["refId"] for target in panel["targets"]]
        assert names
        assert sorted(set(names)) == sorted(names)


def test_every_target_names_the_data_source(found: Json) -> None:
    """Without it a target takes the default one, whatever the variable says."""
    for panel in panels(found):
        assert panel["datasource"] == DATASOURCE
        assert [target["datasource"] for target in panel["targets"]] == [DATASOURCE] * len(panel["targets"])


def test_every_target_is_either_instant_or_a_range(found: Json) -> None:
    """Both are said: Grafana's default differs between versions."""
    for panel in panels(found):
        for target in panel["targets"]:
            assert {target["instant"], target["range"]} == {True, False}


def test_graphs_ask_for_ranges_and_tables_for_instants(found: Json) -> None:
    """A graph of one point is empty; a table of a range has a row per point."""
    instant = {"timeseries": False, "state-timeline": False, "table": True, "gauge": True, "bargauge": True}
    for panel in panels(found):
        if panel["type"] in instant:
            assert {target["instant"] for target in panel["targets"]} == {instant[panel["type"]]}


def test_the_first_threshold_step_is_null_and_the_others_rise(found: Json) -> None:
    """The first step has no value: it holds from minus infinity. Grafana does not sort the others."""
    for steps in thresholds(found):
        values = [step["value"] for step in steps]
        assert values[0] is None
        assert None not in values[1:]
        assert values[1:] == sorted(set(values[1:]))


def test_tables_that_merge_queries_keep_the_same_labels(found: Json) -> None:
    """Rows meet only where labels are equal: every query is aggregated, and one at most brings labels of its own."""
    for panel in panels(found):
        if panel["type"] != "table" or len(panel["targets"]) < 2:
            continue
        assert panel["transformations"][0]["id"] == "merge"
        labels = [output_labels(without_variables(target["expr"])) for target in panel["targets"]]
        common = frozenset.intersection(*labels)
        assert common
        assert len([found for found in labels if found != common]) <= 1


def test_lines_are_never_coloured_by_a_transparent_threshold(found: Json) -> None:
    """In colour mode *thresholds* a line over a transparent step cannot be seen."""
    for panel in panels(found):
        mode = panel["fieldConfig"]["defaults"]["color"]["mode"]
        if panel["type"] == "timeseries":
            assert mode == "palette-classic"
            assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"]
    assert "transparent" not in {step["color"] for steps in thresholds(found) for step in steps}


def test_graphs_show_their_thresholds(found: Json) -> None:
    """Lines in the palette's colours say nothing about thresholds, so the graph draws them."""
    for panel in panels(found):
        if panel["type"] == "timeseries":
            several = len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1
            style = panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"]
            assert style == ("line+area" if several else "off")


def test_query_variables_have_the_form_of_grafana_10(found: Json) -> None:
    """A plain text as query is migrated wrongly by newer editors. Refresh 2 follows the range, sort 1 is A to Z."""
    for variable in found["templating"]["list"]:
        if variable["type"] == "query":
            assert set(variable["query"]) == {"qryType", "query", "refId"}
            assert variable["query"]["qryType"] == 1
            assert (variable["refresh"], variable["sort"]) == (2, 1)
            assert variable["datasource"] == DATASOURCE
            assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".*")


def test_it_cannot_be_edited_and_shares_its_crosshair(found: Json) -> None:
    """Edits would be lost with the next provisioning; a shared crosshair shows one moment in every graph."""
    assert (found["editable"], found["graphTooltip"]) == (False, 1)


def test_it_has_no_inputs(found: Json) -> None:
    """Provisioning does not fill in `__inputs`: they are for grafana.com only."""
    assert [key for key in found if key.startswith("__")] == []


def test_the_export_asks_for_the_data_source(found: Json) -> None:
    """grafana.com's form: an input instead of the variable, and nothing else is changed."""
    exported = grafana_com.export(found)
    assert [item["name"] for item in exported["__inputs"]] == ["DS_PROMETHEUS"]
    text = json.dumps(exported)
    assert "${datasource}" not in text
    assert "${DS_PROMETHEUS}" in text
    assert {item["id"] for item in exported["__requires"] if item["type"] == "panel"} == {
        panel["type"] for panel in panels(found)
    }
    assert [panel["title"] for panel in panels(exported)] == [panel["title"] for panel in panels(found)]


def test_it_uses_only_what_grafana_9_knows(found: Json) -> None:
    """Options, their values, field settings, matchers, transformations and keys: all are in 9.0's own schema."""
    for panel in panels(found):
        kind = panel["type"]
        assert kind in PANELS
        assert set(panel) - grafana_9.PANEL_KEYS == set()
        assert grafana_9.unknown_options(grafana_9.OPTIONS[kind], panel["options"]) == []
        defaults = panel["fieldConfig"]["defaults"]
        assert grafana_9.unknown_options(grafana_9.CUSTOM[kind], defaults["custom"]) == []
        assert set(defaults) - grafana_9.FIELD_DEFAULTS == set()
        assert defaults["color"]["mode"] in grafana_9.COLOR_MODES
        for target in panel["targets"]:
            assert set(target) - grafana_9.TARGET_KEYS == set()
        for item in panel.get("transformations", ()):
            assert item["id"] in grafana_9.TRANSFORMATIONS


def test_overrides_use_only_what_grafana_9_knows(found: Json) -> None:
    """A property of a later version is kept in the file and does nothing."""
    for panel in panels(found):
        known = grafana_9.CUSTOM[panel["type"]]
        for override in panel["fieldConfig"]["overrides"]:
            assert override["matcher"]["id"] in grafana_9.MATCHERS
            for item in override["properties"]:
                if item["id"].startswith("custom."):
                    key = item["id"].removeprefix("custom.")
                    assert grafana_9.unknown_options(known, {key: item["value"]}) == []
                else:
                    assert item["id"] in grafana_9.FIELD_DEFAULTS


def test_value_mappings_have_known_forms(found: Json) -> None:
    """Value, range and special mappings as 9.0 stores them."""
    for panel in panels(found):
        for mapping in panel["fieldConfig"]["defaults"]["mappings"]:
            assert mapping["type"] in grafana_9.MAPPING_TYPES
            if mapping["type"] == "special":
                assert mapping["options"]["match"] in grafana_9.SPECIAL_MATCHES


def test_panels_fill_the_grid_without_overlapping(found: Json) -> None:
    """24 columns, every line full, no two panels in one cell."""
    taken: dict[tuple[int, int], str] = {}
    for panel in found["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    bottom = max(y for _, y in taken) + 1
    assert len(taken) == 24 * bottom


def test_every_query_is_promql(found: Json) -> None:
    """Parsed by Prometheus' grammar once Grafana has filled in its variables."""
    asked = list(expressions(found))
    assert len(asked) >= len(panels(found))
    for expression in asked:
        promql_parser.parse(without_variables(expression))


def test_every_variable_that_is_used_exists(found: Json) -> None:
    """Grafana leaves an unknown variable in the query as it stands."""
    known = {variable["name"] for variable in found["templating"]["list"]} | grafana_9.BUILT_IN_VARIABLES
    used = {
        name for expression in expressions(found) for name in re.findall(r"\$(\w+)", expression) if name.isidentifier()
    }
    assert used - known == set()


def test_every_service_dashboard_marks_alerts_freezes_and_rollbacks(found: Json) -> None:
    """Annotations with a query, a colour, and words for what happened; the overview has too many services for them."""
    own = [item for item in found["annotations"]["list"] if "expr" in item]
    names = [item["name"] for item in own]
    assert names == ([] if "overview" in found["tags"] else ["Critical alerts", "Other alerts", "Freeze", "Rollback"])
    for item in own:
        assert set(item) == grafana_9.ANNOTATION_KEYS
        assert item["datasource"] == DATASOURCE
        assert item["titleFormat"]


def test_overrides_name_fields_that_exist(found: Json) -> None:
    """An override of a field that no query brings does nothing, and nobody notices."""
    for panel in panels(found):
        if panel["type"] != "table":
            continue
        labels = frozenset[str]().union(*(output_labels(without_variables(t["expr"])) for t in panel["targets"]))
        renamed = {
            name
            for item in panel.get("transformations", ())
            if item["id"] == "organize"
            for name in item["options"]["renameByName"].values()
        }
        named = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
        assert named - labels - renamed == set()


def test_exports_take_the_place_of_the_dashboards_and_of_nothing_else() -> None:
    """`generate --format grafana-com`."""
    plain = {"dashboards/a.json": json.dumps(ALL[0][1]).encode(), "rules/a.rules.yml": b"groups: []\n"}
    found = grafana_com.wrap(plain)
    assert list(found) == ["dashboards/grafana-com/a.json", "rules/a.rules.yml"]
    assert json.loads(found["dashboards/grafana-com/a.json"]) == grafana_com.export(ALL[0][1])
