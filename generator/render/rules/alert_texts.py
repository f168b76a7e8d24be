"""What an alert tells people: summary, description, value, links. Text for templates that Prometheus expands.

When a shared alert fires, its templates read the differences between SLOs from the info series. A template stands on
several lines. `{{-` removes the line breaks before it, so that the fired text has one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

from generator import names
from generator.conditions.value_text import PERCENT, PERCENT_UNSIGNED
from generator.model.burn import SloWindow, Tier
from generator.model.spec import PlainAlert, Slo, Spec
from generator.render.links import DATASOURCE, PREFIX, dashboard_url, link
from generator.units import DAY, decimal_text, duration_words, percent_text

RUNBOOK = "runbook"
DASHBOARD = "dashboard"
EVERY_LINK = {RUNBOOK: True, DASHBOARD: True}  # `links_of` where each SLO has all links


def inert(text: str) -> str:
    """Text of a spec inside an annotation, where `{{` would begin a template action."""
    return text.replace("{{", "{{`{{`}}")


def _chosen(is_of_group: str) -> list[str]:
    """A template that adds the alert's group to a dashboard's URL, as values of the dashboard's variables.

    `is_of_group` says whether a label, `$name`, belongs to the group. `urlquery` is part of Go, so every Prometheus has
    the function. This function turns a blank into `+`, which some readers of URLs do not understand. An encoded value
    can neither end the URL nor begin markup where the link is shown.
    """
    value = '{{ $value | urlquery | reReplaceAll "[+]" "%20" }}'
    name = f'{{{{ if eq $name "{DATASOURCE}" }}}}{PREFIX}{{{{ end }}}}{{{{ $name }}}}'
    return [
        '{{- $sep := "?" }}',
        "{{- range $name, $value := $labels }}",
        f"  {{{{- if {is_of_group} }}}}",
        f"    {{{{- $sep }}}}var-{name}={value}",
        '    {{- $sep = "&" }}',
        "  {{- end }}",
        "{{- end }}",
    ]


def _any_of(labels: Iterable[str]) -> str:
    return "eq $name " + " ".join(f'"{label}"' for label in labels)


# -- plain alerts


def plain(spec: Spec, alert: PlainAlert) -> dict[str, str]:
    """Annotations of a plain alert; none of them is empty."""
    condition = inert(alert.condition.describe())
    runbook = link(alert.runbook or spec.defaults.runbook, service=spec.service, alert=alert.name, slo="")
    found = {
        "summary": inert(alert.summary) or _sentence(alert),
        "description": inert(alert.description) or _plain_description(alert, condition),
        "value": "{{ $value }}",
        "runbook_url": inert(runbook),
        "dashboard_url": _plain_dashboard(spec),
        "spec": spec.reference,
    }
    return {name: value for name, value in found.items() if value}


def _sentence(alert: PlainAlert) -> str:
    """Value, time and limit in one sentence: `5.6 % of HTTP requests failed over 5 min; the limit is 0.5 %`."""
    said, shown = alert.condition.said, alert.condition.shown
    waited = f" for {duration_words(alert.for_ms)}" if alert.for_ms else " now"
    if alert.consecutive > 1:
        return _counted_sentence(alert)
    text = f"{inert(said.before)}{shown}{inert(said.after)}{_group(alert.condition.by)}"
    if said.after:
        return f"{text}; {inert(said.limit)}"
    return f"{text}; {inert(said.limit)}{waited}" if said.limit else f"{text}{waited}"


def _counted_sentence(alert: PlainAlert) -> str:
    """The sentence of an alert that counts breaches: the rule's own value only says that there were enough.

    A template therefore asks for the measured value. Of several groups, the template takes the alert's own one.
    """
    said, condition = alert.condition.said, alert.condition
    times = f"in {alert.consecutive} evaluations in a row, {duration_words(alert.interval_ms)} apart"
    unmeasured = f"{inert(condition.describe())}, {times}"
    if not condition.measured or "`" in condition.measured:
        return unmeasured
    group = _group(condition.by)
    foreign = f"or (eq $of (index $labels $name)) ({_any_of(_NOT_OF_GROUP)})"
    return "\n".join(
        [
            "{{- $told := false }}",
            f"{{{{- range query `{condition.measured}` }}}}",
            "  {{- $own := not $told }}{{ $value := .Value }}",
            "  {{- range $name, $of := .Labels }}",
            f"    {{{{- if not ({foreign}) }}}}{{{{ $own = false }}}}{{{{ end }}}}",
            "  {{- end }}",
            "  {{- if $own }}{{ $told = true -}}",
            f"    {inert(said.before)}{condition.shown}{inert(said.after)}{group}; {inert(said.limit)} {times}",
            "  {{- end }}",
            "{{- end }}",
            "{{- if not $told -}}",
            f"  {unmeasured}{group}",
            "{{- end }}",
        ]
    )


_NOT_OF_GROUP = ("__name__", names.SERVICE, names.TEAM, "severity")
"""Labels that an alert does not have from its series."""


def _group(by: Iterable[str]) -> str:
    """The group that an alert is about, as a template: ` (route /pay)`."""
    told = ", ".join(f'{label} {{{{ index $labels "{label}" }}}}' for label in by)
    return f" ({told})" if told else ""


def _plain_description(alert: PlainAlert, condition: str) -> str:
    """The value first. If breaches are counted, the rule's own value only says that there were enough."""
    if alert.consecutive > 1:
        return f"{alert.consecutive} evaluations in a row breach the limit. The alert fires while {condition}."
    return f"{alert.condition.shown} now. The alert fires while {condition}."


def _plain_dashboard(spec: Spec) -> str:
    url = inert(dashboard_url(spec.defaults.grafana, spec.name))
    groups = dict.fromkeys(label for slo in spec.slos for label in slo.group_by)
    return "\n".join([url, *_chosen(_any_of(groups))]) if url and groups else url


# -- shared alerts: links


def info_labels(spec: Spec, slo: Slo) -> dict[str, str]:
    """Labels of the info series beyond the SLO's identity. The alert fills in `{alert}` in the runbook."""
    found = {
        names.TEAM: spec.owner.team,
        "objective": decimal_text(slo.objective),
        names.WINDOW: str(slo.profile.window),
        names.SPEC: spec.reference,
        **_links(spec, slo),
        "description": slo.description,
    }
    return {name: value for name, value in found.items() if value}


def _links(spec: Spec, slo: Slo) -> dict[str, str]:
    return {
        RUNBOOK: link(slo.runbook or spec.defaults.runbook, service=spec.service, slo=slo.name),
        DASHBOARD: dashboard_url(spec.defaults.grafana, spec.name),
    }


def links_of(specs: Iterable[Spec], profile: str) -> dict[str, bool]:
    """The links that SLOs of a profile have, by their labels on the info series, and whether each SLO has the link."""
    found = [_links(spec, slo) for spec in specs for slo in spec.slos if slo.profile.name == profile]
    return {name: all(links[name] for links in found) for name in EVERY_LINK if any(links[name] for links in found)}


_OF_SLO = f"$labels.{names.SERVICE} $labels.{names.SLO} $labels.{names.SCOPE}"
_SLO_NAMED = f"{{{{ $labels.{names.SERVICE} }}}} {{{{ $labels.{names.SLO} }}}}"
_IDENTITY = ",".join(f"{label}=%q" for label in names.IDENTITY)


def _printed(metric: str, before: str = "", values: str = "") -> str:
    """The template action that queries a series of the alert's SLO."""
    return f'printf "{before}{metric}{{{_IDENTITY}}}" {values}{_OF_SLO}'


def _info(*lines: str) -> str:
    """A template of lines in which `.` is the alert's info series."""
    inner = [f"  {line}" for line in lines]
    return "\n".join([f"{{{{- with {_printed(names.INFO)} | query }}}}", *inner, "{{- end }}"])


def _link(label: str, then: str, *more: str, always: bool) -> str:
    """A template for a link of the SLO: its label on the info series, then `then`, then `more` lines.

    No template can leave its annotation out, and Prometheus would send an empty annotation. If not `always` is there a
    link of this kind, SLOs without a link get a link to Prometheus' own graph of their error ratio.
    """
    found = f'. | first | label "{label}"'
    if always and not more:
        return _info(f"{{{{- {found}{then} }}}}")
    lines = [f"{{{{- with {found} }}}}", f"  {{{{- .{then} }}}}", *(f"  {line}" for line in more)]
    if not always:
        lines += ["{{- else }}", f"  {{{{- $externalURL }}}}{{{{ {_printed(names.ERROR_RATIO)} | graphLink }}}}"]
    return _info(*lines, "{{- end }}")


def _runbook(alert: str, *, always: bool) -> str:
    return _link(RUNBOOK, f' | reReplaceAll "[{{]alert[}}]" "{alert}"', always=always)


def _dashboard(*, always: bool) -> str:
    return _link(DASHBOARD, "", *_chosen(f"not ({_any_of((*names.IDENTITY, names.TEAM))})"), always=always)


_SPEC = _info('{{- . | first | label "spec" }}')
_RUNBOOK_ANCHORS = {
    names.BUDGET_BURN: "runbook_url_burn",
    names.BUDGET_CONSUMED: "runbook_url_consumed",
    names.NO_DATA: "runbook_url_no_data",
}


def shared(
    alert: str, links: Mapping[str, bool], summary: str, description: str, *, value: str = "{{ $value }}"
) -> dict[str, str]:
    """Annotations of an alert of a shared set. `links` come from `links_of`."""
    found = {
        "summary": f"{_SLO_NAMED}: {summary}",
        "description": description,
        "value": value,
    }
    if RUNBOOK in links:
        found["runbook_url"] = _runbook(alert, always=links[RUNBOOK])
    if DASHBOARD in links:
        found["dashboard_url"] = _dashboard(always=links[DASHBOARD])
    return {**found, "spec": _SPEC}


def anchored(links: Mapping[str, bool]) -> dict[str, str]:
    """The texts that several alerts of a shared set use, and the YAML anchor of each."""
    found = {_SPEC: "spec"}
    if RUNBOOK in links:
        found |= {_runbook(alert, always=links[RUNBOOK]): anchor for alert, anchor in _RUNBOOK_ANCHORS.items()}
    if DASHBOARD in links:
        found[_dashboard(always=links[DASHBOARD])] = "dashboard_url"
    return found


# -- shared alerts: what counts


def burn(tier: Tier, window: SloWindow) -> tuple[str, str]:
    """Summary and description of a tier's alert, whose value is the error ratio over the long window."""
    limit = f"{factor_words(tier.factor)}×"
    long, short, share = duration_words(tier.long_ms), duration_words(tier.short_ms), percent_text(tier.share)
    spends = "spend" if long.endswith("days") else "spends"
    burns = _printed(names.ERROR_BUDGET, before="%g / ", values="$value ")
    ratio = [
        f"error ratio {PERCENT} over {long}",
        f"{{{{- with {burns} | query -}}}}",
        '  , {{ . | first | value | printf "%.1f" | reReplaceAll "[.]0$" "" }}× the sustainable rate',
    ]
    summary = [*ratio, f"{{{{- end }}}}; the limit is {limit}"]
    description = f"Also exceeded over {short}. At {limit}, {long} {spends} {share} of the {_budget(window)}."
    return "\n".join(summary), description


def consumed(share: Decimal, window: SloWindow) -> tuple[str, str]:
    """Summary and description of a consumed budget, whose value is the remaining budget: below zero if overspent."""
    budget = _budget(window)
    summary = [
        "{{ if ge $value 0.0 -}}",
        f"  {PERCENT} of the {budget} is left",
        "{{- else -}}",
        f"  the {budget} is overspent by {PERCENT_UNSIGNED}",
        f"{{{{- end }}}}; the limit is {percent_text(1 - share)} left",
    ]
    return "\n".join(summary), f"{percent_text(share)} of the {budget} is spent."


def _budget(window: SloWindow) -> str:
    if window.calendar:
        return f"calendar {window.calendar}'s budget"
    days, rest = divmod(window.length_ms, DAY)
    return f"{duration_words(window.length_ms)} budget" if rest else f"{days}-day budget"


def factor_words(factor: Fraction) -> str:
    """A factor for people, to four digits: `14.4`."""
    return decimal_text(Decimal(f"{float(factor):.4g}"))
