"""Files of Sloth, Pyrra and OpenSLO, as people have them, become specs, or are refused for the stated reason.

EXAMPLES states for each file the SLOs that the import makes, or each reason for the refusal. What the generator makes
of the specs passes `check rules` of both generations of promtool, and the proofs hold on both.
"""
# ruff: noqa: E501 - the table has one SLO or one message a line

import random
from pathlib import Path

import pytest

from tests.acceptance.imports.importing import Example, check, prove, said
from tests.tools import ROOT, Generation

DATA = ROOT / "tests" / "data" / "examples"
EXAMPLES: dict[str, tuple[str, ...]] = {
    "openslo/composite.yaml": (
        "14:9 import/objective: spec.objectives[0] is a part of a composite SLO, which Freezeline does not have",
        "23:21 import/objective: spec.objectives[1] is a part of a composite SLO, which Freezeline does not have",
    ),
    "openslo/day-calendar.yaml": ("13:27 import/window: 1d is not a calendar unit of Freezeline",),
    "openslo/draft-version.yaml": ("1:13 import/kind: openslo/v1beta1 SLO is not an object of OpenSLO",),
    "openslo/no-indicator.yaml": ("6:17 import/reference: these files have no SLI 'elsewhere'",),
    "openslo/no-metric.yaml": ("8:14 spec/missing-key: spec.indicator lacks `spec`",),
    "openslo/only-indicators.yaml": (),
    "openslo/placeholders.yaml": ("13:17 import/query: the metric comes from Any, which Prometheus cannot ask",),
    "openslo/ratio-of-slices.yaml": ("web-shop main-page: error_ratio, 99 % over 14d (web-shop)",),
    "openslo/sloth-v1alpha-several.yaml": (
        "apiserver availability: good/total, 99.9 % over 30d (apiserver)",
        "apiserver latency-1: histogram, 99 % over 30d (apiserver)",
        "apiserver latency-2: histogram, 99.9 % over 30d (apiserver)",
    ),
    "openslo/sloth-v1alpha.yaml": ("shop shop-answers: good/total, 99.9 % over 30d (shop)",),
    "openslo/v1-cloudwatch.yaml": (
        "26:24 import/query: the metric comes from CloudWatch, which Prometheus cannot ask",
    ),
    "openslo/v1-list.yaml": ("web web-availability: time slices, 99.5 % over 7d (team-a)",),
    "openslo/v1-new-york.yaml": (
        "32:21 import/window: Freezeline's calendar windows follow UTC, not America/New_York",
    ),
    "openslo/v1-separate.yaml": ("foo foo-depth: time slices, 98 % over 28d (foos)",),
    "openslo/v1-without-value.yaml": ("9:18 import/query: a thresholdMetric needs `op` and `value`",),
    "openslo/v1alpha-list.yaml": (
        "17:62 import/window: Freezeline's calendar windows follow UTC, not America/New_York",
        "37:26 import/query: the metric comes from datadog, which Prometheus cannot ask",
        "38:27 import/query: the metric comes from datadog, which Prometheus cannot ask",
    ),
    "openslo/v1alpha-slices.yaml": ("accounts minutes: time slices, 98 % over 28d (accounts)",),
    "openslo/v1alpha-threshold.yaml": ("accounts west-latency: time slices, 99 % over calendar-month (accounts)",),
    "openslo/v2alpha-elsewhere.yaml": (
        "15:33 import/query: the metric comes from Datadog, which Prometheus cannot ask",
        "16:34 import/query: the metric comes from Datadog, which Prometheus cannot ask",
        "23:5 import/objective: spec has no objective",
        "23:5 import/window: spec needs one time window",
    ),
    "openslo/v2alpha-list.yaml": ("web web-availability: time slices, 99.5 % over 7d (team-a)",),
    "openslo/v2alpha-separate.yaml": (
        "annotator queue: time slices, 99 % over 28d (team-a)",
        "annotator satisfaction: error_ratio, 95 % over 28d (team-a)",
    ),
    "openslo/v2alpha1-list.yaml": ("web web-availability: time slices, 99.5 % over 7d (team-a)",),
    "pyrra/apiserver-cluster-latency.yaml": (
        "api-read-cluster-latency api-read-cluster-latency: histogram, 99 % over 14d (api-read-cluster-latency)",
    ),
    "pyrra/apiserver-namespace-latency.yaml": (
        "api-read-namespace-latency api-read-namespace-latency: histogram, 99 % over 14d (api-read-namespace-latency)",
    ),
    "pyrra/apiserver-read-errors.yaml": (
        "api-read-errors api-read-errors: bad/total, 99 % over 14d (api-read-errors)",
    ),
    "pyrra/apiserver-requests.yaml": (
        "apiserver-requests apiserver-requests: histogram, 99 % over 14d (apiserver-requests)",
    ),
    "pyrra/apiserver-resource-latency.yaml": (
        "api-read-resource-latency api-read-resource-latency: histogram, 99 % over 14d (api-read-resource-latency)",
    ),
    "pyrra/apiserver-write-errors.yaml": (
        "api-write-errors api-write-errors: bad/total, 99 % over 14d (api-write-errors)",
    ),
    "pyrra/connect-buckets.yaml": (
        "connect-buckets connect-buckets: good/total by exported_service, 99 % over 14d (connect-buckets)",
    ),
    "pyrra/connect-errors.yaml": (
        "connect-errors connect-errors: bad/total by exported_service, method, 99 % over 14d (connect-errors)",
    ),
    "pyrra/connect-latency.yaml": (
        "connect-latency connect-latency: good/total by exported_service, method, 99 % over 14d (connect-latency)",
    ),
    "pyrra/coredns-errors.yaml": ("coredns-errors coredns-errors: bad/total, 99.99 % over 14d (coredns-errors)",),
    "pyrra/dynamic-gauge.yaml": ("prometheus-up prometheus-up: error_ratio, 99.9 % over 28d (prometheus-up)",),
    "pyrra/grpc-queries.yaml": ("grpc-queries grpc-queries: bad/total, 99 % over 14d (profiles)",),
    "pyrra/grpc-store.yaml": ("grpc-store grpc-store: bad/total, 99.5 % over 7d (grpc-store)",),
    "pyrra/ingress.yaml": (
        "28:17 import/query: spec.indicator.latency.success.metric names no bucket, so all buckets would add up",
    ),
    "pyrra/kubectl-list.yaml": ("coredns-errors coredns-errors: bad/total, 99.99 % over 14d (coredns-errors)",),
    "pyrra/kubelet-requests.yaml": ("kubelet-requests kubelet-requests: bad/total, 99 % over 14d (kubelet-requests)",),
    "pyrra/kubelet-runtime.yaml": ("kubelet-runtime kubelet-runtime: bad/total, 99.5 % over 14d (kubelet-runtime)",),
    "pyrra/kustomize.yaml": ("coredns-errors coredns-errors: bad/total, 99.99 % over 7d (coredns-errors)",),
    "pyrra/matchers.yaml": (
        "10:17 import/query: spec.indicator.latency.success.metric names no bucket, so all buckets would add up",
    ),
    "pyrra/namespaces.yaml": (
        "monitoring-coredns-errors monitoring-coredns-errors: bad/total, 99.99 % over 14d (monitoring-coredns-errors)",
        "edge-coredns-errors edge-coredns-errors: bad/total, 99.99 % over 14d (edge-coredns-errors)",
    ),
    "pyrra/operator-http.yaml": ("operator-http operator-http: bad/total, 99.5 % over 14d (operator-http)",),
    "pyrra/operator-reconciles.yaml": (
        "operator-reconciles operator-reconciles: bad/total by controller, 95 % over 14d (operator-reconciles)",
    ),
    "pyrra/probe.yaml": ("probe probe: error_ratio by target, 99 % over 7d (probe)",),
    "pyrra/prometheus-http-all.yaml": (
        "prometheus-http-all prometheus-http-all: bad/total, 99.99 % over 14d (prometheus-http-all)",
    ),
    "pyrra/prometheus-http.yaml": ("prometheus-http prometheus-http: bad/total, 99 % over 7d (prometheus-http)",),
    "pyrra/prometheus-notifications.yaml": (
        "prometheus-notifications prometheus-notifications: bad/total, 99 % over 14d (prometheus-notifications)",
    ),
    "pyrra/prometheus-queries-offset.yaml": (
        "prometheus-queries-offset prometheus-queries-offset: bad/total by handler, 99 % over 14d (prometheus-queries-offset)",
    ),
    "pyrra/prometheus-queries.yaml": (
        "prometheus-queries prometheus-queries: bad/total by handler, 99 % over 14d (prometheus-queries)",
    ),
    "pyrra/reconciles.yaml": ("reconciles reconciles: bad/total, 99 % over 7d (reconciles)",),
    "pyrra/rule-evaluations.yaml": (
        "rule-evaluations rule-evaluations: bad/total, 99.99 % over 14d (rule-evaluations)",
    ),
    "pyrra/service-discovery.yaml": (
        "service-discovery service-discovery: bad/total, 99 % over 14d (service-discovery)",
    ),
    "pyrra/web-latency.yaml": ("web-latency web-latency: histogram, 90 % over 28d (web-latency)",),
    "sloth/alert-windows.yaml": ("2:7 import/kind: sloth.slok.dev/v1 AlertWindows is not an object of Sloth",),
    "sloth/apiserver.yml": (
        "apiserver availability: bad/total, 99.9 % over 30d (apiserver)",
        "apiserver latency: histogram, 99 % over 30d (apiserver)",
    ),
    "sloth/availability.yml": ("shop answers: bad/total, 99.9 % over 30d (storefront)",),
    "sloth/config-map.yaml": (
        "5:3 import/kind: the ConfigMap shop-slos holds files of Sloth, and the import does not read inside a ConfigMap",
    ),
    "sloth/contrib-plugin.yaml": ("svc first: bad/total, 99.9 % over 30d (svc)",),
    "sloth/counts-of-samples.yml": (
        "office-wifi clients-content: error_ratio, 95 % over 30d (office-wifi)",
        "office-wifi clients-desperate: error_ratio, 99.9 % over 30d (office-wifi)",
    ),
    "sloth/interval.yml": ("batch cpu: bad/total, 99.99 % over 30d (compute)",),
    "sloth/kubectl-list.yml": ("shop answers: bad/total, 99.9 % over 30d (storefront)",),
    "sloth/kubernetes-several.yml": (
        "shop answers: bad/total, 99.9 % over 30d (storefront)",
        "till answers: bad/total, 99.99 % over 30d (tills)",
    ),
    "sloth/kubernetes-wifi.yml": ("office-wifi clients-content: error_ratio, 95 % over 30d (office-wifi)",),
    "sloth/kubernetes.yml": ("shop answers: bad/total, 99.9 % over 30d (storefront)",),
    "sloth/managed-prometheus.yml": ("shop answers: bad/total, 99.9 % over 30d (storefront)",),
    "sloth/manifests.yaml": ("shop answers: bad/total by exported_service, 99.9 % over 30d (storefront)",),
    "sloth/no-alerts.yml": ("till http-availability: bad/total, 99.99 % over 30d (tills)",),
    "sloth/ratio-of-samples.yml": ("office-wifi satisfaction: error_ratio, 95 % over 30d (office-wifi)",),
    "sloth/several.yml": (
        "shop answers: bad/total, 99.9 % over 30d (storefront)",
        "till answers: bad/total, 99.99 % over 30d (tills)",
    ),
    "sloth/sli-plugin-kubernetes.yml": (
        "12:11 import/plugin: the SLI comes from a plugin of Sloth, whose query Freezeline does not know",
    ),
    "sloth/sli-plugin.yml": (
        "9:9 import/plugin: the SLI comes from a plugin of Sloth, whose query Freezeline does not know",
    ),
    "sloth/slo-plugins-kubernetes.yml": ("shop answers: bad/total, 99.9 % over 30d (storefront)",),
    "sloth/slo-plugins.yml": ("shop answers: bad/total, 99.9 % over 30d (storefront)",),
    "sloth/victoria-metrics.yml": (
        "14:20 import/query: slos[0].sli.events.error_query: PromQL does not parse: unknown function with name 'histogram_share'",
        "15:20 import/query: slos[0].sli.events.total_query: PromQL does not parse: ranges only allowed for vector selectors",
    ),
}


def example(name: str) -> Example:
    """A file of the table."""
    return Example(tool=name.partition("/")[0], path=DATA / name)


def taken() -> list[str]:
    """The examples that become specs."""
    return [name for name, rows in EXAMPLES.items() if rows and not rows[0][0].isdigit()]


def test_every_example_is_in_the_table() -> None:
    """No file is forgotten."""
    files = [path for path in DATA.glob("*/*") if path.suffix in (".yml", ".yaml")]
    assert sorted(path.relative_to(DATA).as_posix() for path in files) == sorted(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_import(name: str) -> None:
    """The example becomes the stated SLOs, or is refused for the stated reasons at the stated places."""
    assert said(example(name)) == EXAMPLES[name]


def test_promtool_agrees_with_all_rules(generation: Generation, tmp_path: Path) -> None:
    """`promtool check rules` accepts what the generator makes of every example that can be imported."""
    check([example(name) for name in taken()], generation, tmp_path)


@pytest.mark.old_in_soak
def test_proofs_of_some_hold(generation: Generation, tmp_path: Path) -> None:
    """The proofs hold of three examples: groups got another name, a window is shorter than the base's, a seed's choice."""
    others = [name for name in taken() if not name.startswith("openslo/") and ": error_ratio" not in EXAMPLES[name][0]]
    chosen = ["pyrra/connect-errors.yaml", "pyrra/kubectl-list.yaml", random.Random(11).choice(others)]
    prove([example(name) for name in chosen], generation, tmp_path)


@pytest.mark.soak
def test_all_proofs_hold(generation: Generation, tmp_path: Path) -> None:
    """The proofs of every example hold."""
    prove([example(name) for name in taken()], generation, tmp_path)
