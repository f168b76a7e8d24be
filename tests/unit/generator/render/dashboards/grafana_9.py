"""What Grafana 9.0 knows: read off its own `schema` and `data` packages, version 9.0.0. Nothing later may be used."""

from collections.abc import Mapping

_TOOLTIP = {"mode": {"single", "multi", "none"}, "sort": {"none", "asc", "desc"}}
_LEGEND = {
    "calcs": None,
    "displayMode": {"list", "table", "hidden"},
    "placement": {"bottom", "right"},
    "sortBy": None,
    "sortDesc": None,
    "width": None,
    "asTable": None,
}
_SINGLE = {
    "orientation": {"auto", "horizontal", "vertical"},
    "reduceOptions": {"calcs": None, "fields": None, "values": None, "limit": None},
    "text": {"titleSize": None, "valueSize": None},
}

# Options by panel type: None = any value, a set = these values, a mapping = an object with these keys.
OPTIONS: Mapping[str, Mapping[str, object]] = {
    "stat": {
        **_SINGLE,
        "colorMode": {"background", "value", "none"},
        "graphMode": {"area", "line", "none"},
        "justifyMode": {"auto", "center"},
        "textMode": {"auto", "name", "none", "value", "value_and_name"},
    },
    "gauge": {**_SINGLE, "showThresholdLabels": None, "showThresholdMarkers": None},
    "bargauge": {**_SINGLE, "displayMode": {"basic", "gradient", "lcd"}, "showUnfilled": None},
    "timeseries": {"legend": _LEGEND, "tooltip": _TOOLTIP, "timezone": None},
    "state-timeline": {
        "alignValue": {"left", "center", "right"},
        "legend": _LEGEND,
        "mergeValues": None,
        "rowHeight": None,
        "showValue": {"auto", "always", "never"},
        "tooltip": _TOOLTIP,
    },
    "table": {
        "footer": {"fields": None, "reducer": None, "show": None},
        "frameIndex": None,
        "showHeader": None,
        "sortBy": None,
    },
}

_HIDE = {"legend": None, "tooltip": None, "viz": None}

CUSTOM: Mapping[str, Mapping[str, object]] = {
    "stat": {},
    "gauge": {},
    "bargauge": {},
    "timeseries": {
        "axisGridShow": None,
        "axisLabel": None,
        "axisPlacement": {"auto", "bottom", "hidden", "left", "right", "top"},
        "axisSoftMax": None,
        "axisSoftMin": None,
        "axisWidth": None,
        "barAlignment": {-1, 0, 1},
        "drawStyle": {"bars", "line", "points"},
        "fillOpacity": None,
        "gradientMode": {"none", "opacity", "hue", "scheme"},
        "hideFrom": _HIDE,
        "lineInterpolation": {"linear", "smooth", "stepBefore", "stepAfter"},
        "lineStyle": {"fill": None, "dash": None},
        "lineWidth": None,
        "pointSize": None,
        "scaleDistribution": {"type": {"linear", "log"}, "log": None},
        "showPoints": {"always", "auto", "never"},
        "spanNulls": None,
        "stacking": {"group": None, "mode": {"none", "normal", "percent"}},
        "thresholdsStyle": {"mode": {"off", "line", "area", "line+area", "series"}},
    },
    "state-timeline": {"fillOpacity": None, "hideFrom": _HIDE, "lineWidth": None, "spanNulls": None},
    "table": {
        "align": {"auto", "left", "right", "center"},
        "displayMode": {
            "auto",
            "basic",
            "color-background",
            "color-background-solid",
            "color-text",
            "gradient-gauge",
            "image",
            "json-view",
            "lcd-gauge",
        },
        "filterable": None,
        "hidden": None,
        "inspect": None,
        "minWidth": None,
        "width": None,
    },
}

FIELD_DEFAULTS = {
    "color",
    "custom",
    "decimals",
    "description",
    "displayName",
    "filterable",
    "links",
    "mappings",
    "max",
    "min",
    "noValue",
    "thresholds",
    "unit",
}
COLOR_MODES = {"thresholds", "palette-classic", "fixed", "continuous-GrYlRd"}
MAPPING_TYPES = {"value", "range", "regex", "special"}
SPECIAL_MATCHES = {"true", "false", "null", "nan", "null+nan", "empty"}
MATCHERS = {"byName", "byRegexp", "byFrameRefID", "byType"}
PANEL_KEYS = {
    "collapsed",
    "datasource",
    "description",
    "fieldConfig",
    "gridPos",
    "id",
    "links",
    "options",
    "panels",
    "targets",
    "timeFrom",
    "title",
    "transformations",
    "transparent",
    "type",
}
TARGET_KEYS = {"datasource", "editorMode", "expr", "format", "instant", "legendFormat", "range", "refId"}
ANNOTATION_KEYS = {
    "datasource",
    "enable",
    "expr",
    "hide",
    "iconColor",
    "name",
    "step",
    "tagKeys",
    "textFormat",
    "titleFormat",
    "useValueForTime",
}
DASHBOARD_KEYS = {
    "annotations",
    "description",
    "editable",
    "fiscalYearStartMonth",
    "graphTooltip",
    "id",
    "links",
    "liveNow",
    "panels",
    "refresh",
    "schemaVersion",
    "style",
    "tags",
    "templating",
    "time",
    "timepicker",
    "timezone",
    "title",
    "uid",
    "version",
    "weekStart",
}
TRANSFORMATIONS = {
    "calculateField",
    "filterFieldsByName",
    "groupBy",
    "labelsToFields",
    "merge",
    "organize",
    "reduce",
    "seriesToColumns",
    "sortBy",
}
BUILT_IN_VARIABLES = {"__interval", "__rate_interval", "__range", "__data", "__url_time_range"}


def unknown_options(known: Mapping[str, object], found: Mapping[str, object], path: str = "") -> list[str]:
    """What stands in `found` that 9.0 does not know: keys, and values of options with a fixed set of them."""
    problems = []
    for key, value in found.items():
        place = f"{path}.{key}" if path else key
        if key not in known:
            problems.append(place)
            continue
        allowed = known[key]
        if isinstance(allowed, Mapping) and isinstance(value, Mapping):
            problems += unknown_options(allowed, value, place)
        elif isinstance(allowed, set) and value not in allowed:
            problems.append(f"{place}={value!r}")
    return problems
