"""What an alert tells people: summary, description, value, links. Text for templates that Prometheus expands.

Shared alerts read what differs between SLOs from the info series, when they fire.
"""

from __future__ import annotations

from collections.abc import Iterable

from generator import names
from generator.model.spec import PlainAlert, Slo, Spec
from generator.render.links import DATASOURCE, PREFIX, dashboard_url, link
from generator.units import decimal_text


def inert(text: str) -> str:
    """Text of a spec inside an annotation, where `{{` would begin a template action."""
    return text.replace("{{", "{{`{{`}}")


def _chosen(is_of_group: str) -> str:
    """A template that adds the alert's group to a dashboard's URL, as values of the dashboard's variables.

    `is_of_group` says whether a label, `$name`, is one of the group's. `urlquery` is Go's own, so every Prometheus has
    it; of a space it makes `+`, which not all that read a URL understand. What it leaves of a value can neither end the
    URL nor begin markup where the link is shown.
    """
    return (
        '{{ $sep := "?" }}{{ range $name, $value := $labels }}'
        f"{{{{ if {is_of_group} }}}}"
        f'{{{{ $sep }}}}var-{{{{ if eq $name "{DATASOURCE}" }}}}{PREFIX}{{{{ end }}}}{{{{ $name }}}}='
        '{{ $value | urlquery | reReplaceAll "[+]" "%20" }}{{ $sep = "&" }}'
        "{{ end }}{{ end }}"
    )


def _any_of(labels: Iterable[str]) -> str:
    return "eq $name " + " ".join(f'"{label}"' for label in labels)


def info_labels(spec: Spec, slo: Slo) -> dict[str, str]:
    """Labels of the info series beyond the SLO's identity; `{alert}` in the runbook is filled in by the alert."""
    runbook = link(slo.runbook or spec.defaults.runbook, service=spec.service, slo=slo.name)
    found = {
        names.TEAM: spec.owner.team,
        "objective": decimal_text(slo.objective),
        names.WINDOW: str(slo.profile.window),
        names.SPEC: spec.reference,
        "runbook": runbook,
        "dashboard": dashboard_url(spec.defaults.grafana, spec.name),
        "description": slo.description,
    }
    return {name: value for name, value in found.items() if value}


def plain(spec: Spec, alert: PlainAlert) -> dict[str, str]:
    """Annotations of a plain alert."""
    condition = inert(alert.condition.describe())
    summary = inert(alert.summary) or f"{alert.name} on {spec.service}: {condition}"
    runbook = link(alert.runbook or spec.defaults.runbook, service=spec.service, alert=alert.name, slo="")
    found = {
        "summary": summary,
        "description": inert(alert.description) or f"{condition}; now {{{{ $value | humanize }}}}.",
        "value": "{{ $value }}",
        "runbook_url": inert(runbook),
        "dashboard_url": _plain_dashboard(spec),
        "spec": spec.reference,
    }
    return {name: value for name, value in found.items() if value}


def _plain_dashboard(spec: Spec) -> str:
    url = inert(dashboard_url(spec.defaults.grafana, spec.name))
    groups = dict.fromkeys(label for slo in spec.slos for label in slo.group_by)
    return url + _chosen(_any_of(groups)) if url and groups else url


def _info(label: str, more: str = "") -> str:
    """A template that gives one label of the alert's info series and `more` behind it, or nothing."""
    selector = f"{names.INFO}{{{names.SERVICE}=%q,{names.SLO}=%q,{names.SCOPE}=%q}}"
    arguments = f"$labels.{names.SERVICE} $labels.{names.SLO} $labels.{names.SCOPE}"
    query = f'printf "{selector.replace(chr(34), chr(92) + chr(34))}" {arguments} | query'
    value = f'{{{{ . | first | label "{label}" }}}}'
    if more:
        value = f'{{{{ with . | first | label "{label}" }}}}{{{{ . }}}}{more}{{{{ end }}}}'
    return f"{{{{ with {query} }}}}{value}{{{{ end }}}}"


def shared(alert: str, summary: str, description: str, *, value: str = "{{ $value }}") -> dict[str, str]:
    """Annotations of an alert of a shared set."""
    runbook = _info("runbook").replace(
        'label "runbook" }}', f'label "runbook" | reReplaceAll "[{{]alert[}}]" "{alert}" }}}}'
    )
    return {
        "summary": summary,
        "description": description,
        "value": value,
        "runbook_url": runbook,
        "dashboard_url": _info("dashboard", _chosen(f"not ({_any_of((*names.IDENTITY, names.TEAM))})")),
        "spec": _info("spec"),
    }
