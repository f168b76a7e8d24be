"""The examples that Sloth and OpenSLO publish become specs, or are refused for the stated reason and place.

The files are read where Go's cache keeps the tools' modules; none of them is part of this repository. A file that no
table names holds no SLO. promtool accepts all rules; `./dev soak tests/acceptance/imports` runs the proofs.
"""
# ruff: noqa: E501 - the tables have one SLO or one message a line

from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec import Struct

from devtools.golang import source
from devtools.steps import SetupError
from tests.acceptance.imports.importing import Example, check, prove, said
from tests.tools import Generation, missing_is_an_error

SVC01 = ("svc01 slo1: bad/total, 99.9 % over 30d (svc01)", "svc01 slo02: bad/total, 95 % over 30d (svc01)")
SVC02 = ("svc02 slo1: bad/total, 99.99 % over 30d (svc02)", "svc02 slo02: bad/total, 95 % over 30d (svc02)")
MY_SERVICE = ("myservice requests-availability: bad/total, 99.9 % over 30d (myteam)",)
SLOTH_FILES: dict[str, tuple[str, ...]] = {
    "examples/contrib-denominator-corrected.yaml": ("svc01 slo1: bad/total, 99.9 % over 30d (svc01)",),
    "examples/contrib-slo-plugins.yml": (
        "myservice requests-availability-contrib-plugin-info-labels-v1: bad/total, 99.9 % over 30d (myteam)",
        "myservice requests-availability-contrib-plugin-rule-intervals-v1: bad/total, 99.9 % over 30d (myteam)",
    ),
    "examples/getting-started.yml": MY_SERVICE,
    "examples/home-wifi.yml": (
        "home-wifi good-wifi-client-satisfaction: error_ratio, 95 % over 30d (home-wifi)",
        "home-wifi risk-wifi-client-satisfaction: error_ratio, 99.9 % over 30d (home-wifi)",
    ),
    "examples/k8s-getting-started.yml": MY_SERVICE,
    "examples/k8s-home-wifi.yml": (
        "home-wifi good-wifi-client-satisfaction: error_ratio, 95 % over 30d (home-wifi)",
        "home-wifi risk-wifi-client-satisfaction: error_ratio, 99.9 % over 30d (home-wifi)",
    ),
    "examples/k8s-multifile.yml": (
        "myservice requests-availability: bad/total, 99.9 % over 30d (myteam)",
        "myservice2 requests-availability: bad/total, 99.99 % over 30d (myteam2)",
    ),
    "examples/kubernetes-apiserver.yml": (
        "k8s-apiserver requests-availability: bad/total, 99.9 % over 30d (k8s-apiserver)",
        "k8s-apiserver requests-latency: histogram, 99 % over 30d (k8s-apiserver)",
    ),
    "examples/multifile.yml": (
        "myservice requests-availability: bad/total, 99.9 % over 30d (myteam)",
        "myservice2 requests-availability: bad/total, 99.99 % over 30d (myteam2)",
    ),
    "examples/no-alerts.yml": ("myapp http-availability: bad/total, 99.99 % over 30d (myteam)",),
    "examples/openslo-getting-started.yml": (
        "my-service sloth-slo-my-service: good/total, 99.9 % over 30d (my-service)",
    ),
    "examples/openslo-kubernetes-apiserver.yml": (
        "k8s-apiserver requests-availability-openslo: good/total, 99.9 % over 30d (k8s-apiserver)",
        "k8s-apiserver requests-latency-openslo-1: histogram, 99 % over 30d (k8s-apiserver)",
        "k8s-apiserver requests-latency-openslo-2: histogram, 99.9 % over 30d (k8s-apiserver)",
    ),
    "examples/plugin-getting-started.yml": (
        "14:9 import/plugin: the SLI comes from a plugin of Sloth, whose query Freezeline does not know",
    ),
    "examples/plugin-k8s-getting-started.yml": (
        "28:11 import/plugin: the SLI comes from a plugin of Sloth, whose query Freezeline does not know",
    ),
    "examples/raw-home-wifi.yml": ("home-wifi wifi-client-satisfaction: error_ratio, 95 % over 30d (home-wifi)",),
    "examples/slo-plugin-getting-started.yml": MY_SERVICE,
    "examples/slo-plugin-k8s-getting-started.yml": MY_SERVICE,
    "examples/victoria-metrics.yml": (
        "27:20 import/query: slos[0].sli.events.error_query: PromQL does not parse: unknown function with name 'histogram_share'",
        "28:20 import/query: slos[0].sli.events.total_query: PromQL does not parse: ranges only allowed for vector selectors",
        "44:20 import/query: slos[1].sli.events.error_query: PromQL does not parse: unknown function with name 'histogram_share'",
        "45:20 import/query: slos[1].sli.events.total_query: PromQL does not parse: ranges only allowed for vector selectors",
    ),
    "examples/windows/7d.yaml": ("2:7 import/kind: sloth.slok.dev/v1 AlertWindows is not an object of Sloth",),
    "examples/windows/custom-30d.yaml": ("2:7 import/kind: sloth.slok.dev/v1 AlertWindows is not an object of Sloth",),
    "test/integration/k8scontroller/windows/7d.yaml": (
        "2:7 import/kind: sloth.slok.dev/v1 AlertWindows is not an object of Sloth",
    ),
    "test/integration/prometheus/testdata/in-base-k8s.yaml": SVC01,
    "test/integration/prometheus/testdata/in-base.yaml": SVC01,
    "test/integration/prometheus/testdata/in-invalid-version.yaml": (
        "1:10 import/kind: the file is not a spec of Sloth's prometheus/v1",
    ),
    "test/integration/prometheus/testdata/in-multifile-k8s.yaml": (*SVC01, *SVC02),
    "test/integration/prometheus/testdata/in-multifile.yaml": (*SVC01, *SVC02),
    "test/integration/prometheus/testdata/in-openslo.yaml": ("svc01 slo1: good/total, 99.9 % over 30d (svc01)",),
    "test/integration/prometheus/testdata/in-sli-plugin.yaml": (
        "12:9 import/plugin: the SLI comes from a plugin of Sloth, whose query Freezeline does not know",
    ),
    "test/integration/prometheus/testdata/in-slo-plugin-k8s.yaml": ("svc01 slo1: bad/total, 99.9 % over 30d (svc01)",),
    "test/integration/prometheus/testdata/in-slo-plugin.yaml": ("svc01 slo1: bad/total, 99.9 % over 30d (myteam)",),
    "test/integration/prometheus/testdata/validate/bad/bad-aa.yaml": (
        "28:16 import/objective: slos[1]: the objective must be above 0 % and below 100 %",
    ),
    "test/integration/prometheus/testdata/validate/bad/bad-ab.yaml": (
        "28:16 import/objective: slos[1]: the objective must be above 0 % and below 100 %",
    ),
    "test/integration/prometheus/testdata/validate/bad/bad-ba.yaml": (
        "28:16 import/objective: slos[1]: the objective must be above 0 % and below 100 %",
    ),
    "test/integration/prometheus/testdata/validate/bad/bad-k8s.yaml": ("7:3 spec/missing-key: spec lacks `service`",),
    "test/integration/prometheus/testdata/validate/bad/bad-multi-k8s.yaml": (*SVC01, *SVC02),
    "test/integration/prometheus/testdata/validate/bad/bad-multi.yaml": (
        "77:10 import/query: slos[1].sli has neither `events` nor `raw`",
    ),
    "test/integration/prometheus/testdata/validate/bad/bad-openslo.yaml": (
        "svc01 slo1: good/total, 99.9 % over 28d (svc01)",
    ),
    "test/integration/prometheus/testdata/validate/good/good-aa.yaml": SVC01,
    "test/integration/prometheus/testdata/validate/good/good-ab.yaml": SVC01,
    "test/integration/prometheus/testdata/validate/good/good-ba.yaml": SVC01,
    "test/integration/prometheus/testdata/validate/good/good-k8s.yaml": SVC01,
    "test/integration/prometheus/testdata/validate/good/good-multi-k8s.yaml": (*SVC01, *SVC02),
    "test/integration/prometheus/testdata/validate/good/good-multi.yaml": (*SVC01, *SVC02),
    "test/integration/prometheus/testdata/validate/good/good-openslo.yaml": (
        "svc01 slo1: good/total, 99.9 % over 30d (svc01)",
    ),
    "test/integration/prometheus/testdata/validate_with_duplicates/bad-prom-multi-duplicates.yaml": (
        "51:5 import/duplicate: the service svc01 has two SLOs slo1",
        "72:5 import/duplicate: the service svc01 has two SLOs slo02",
    ),
    "test/integration/prometheus/testdata/validate_with_duplicates/k8s/bad-k8s-1-duplicate.yaml": SVC01,
    "test/integration/prometheus/testdata/validate_with_duplicates/k8s/bad-k8s-1-original.yaml": SVC01,
    "test/integration/prometheus/testdata/validate_with_duplicates/openslo/bad-openslo-1-duplicate.yaml": (
        "svc01 slo1: good/total, 99.9 % over 30d (svc01)",
    ),
    "test/integration/prometheus/testdata/validate_with_duplicates/openslo/bad-openslo-1-original.yaml": (
        "svc01 slo1: good/total, 99.9 % over 30d (svc01)",
    ),
    "test/integration/prometheus/testdata/validate_with_duplicates/prom/bad-prom-1-duplicate.yaml": SVC01,
    "test/integration/prometheus/testdata/validate_with_duplicates/prom/bad-prom-1-original.yaml": SVC01,
    "test/integration/prometheus/windows/7d.yaml": (
        "2:7 import/kind: sloth.slok.dev/v1 AlertWindows is not an object of Sloth",
    ),
}
OSLO_FILES: dict[str, tuple[str, ...]] = {
    "examples/definitions/slo.yaml": ("my-test-service ratio: time slices, 98 % over 28d (my-test-service)",),
    "test/v1/multi.yaml": ("31:13 import/query: the metric comes from CloudWatch, which Prometheus cannot ask",),
    "test/v1/slo/slo-indicatorRef-rolling-cloudwatch.yaml": (
        "8:17 import/reference: these files have no SLI 'foo-sli'",
    ),
    "test/v1/slo/slo-indicatorref-calendar-alerts.yaml": (
        "9:17 import/reference: these files have no SLI 'indicatorRefString'",
        "11:17 import/window: 1d is not a calendar unit of Freezeline",
    ),
    "test/v1/slo/slo-indicatorref-calendar-no-alerts.yaml": (
        "9:17 import/reference: these files have no SLI 'indicatorRefString'",
        "11:17 import/window: 1d is not a calendar unit of Freezeline",
    ),
    "test/v1/slo/slo-indicatorref-rolling-alerts.yaml": (
        "9:17 import/reference: these files have no SLI 'indicatorRefString'",
    ),
    "test/v1/slo/slo-indicatorref-rolling-no-alerts.yaml": (
        "9:17 import/reference: these files have no SLI 'indicatorRefString'",
    ),
    "test/v1/slo/slo-no-indicatorref-calendar-alerts.yaml": (
        "29:17 import/window: 1d is not a calendar unit of Freezeline",
    ),
    "test/v1/slo/slo-no-indicatorref-calendar-no-alerts.yaml": (
        "29:17 import/window: 1d is not a calendar unit of Freezeline",
    ),
    "test/v1/slo/slo-no-indicatorref-rolling-alerts.yaml": (
        "19:19 import/query: the metric comes from Datadog, which Prometheus cannot ask",
        "25:19 import/query: the metric comes from Datadog, which Prometheus cannot ask",
    ),
    "test/v1/slo/slo-no-indicatorref-rolling-no-alerts.yaml": (
        "19:19 import/query: the metric comes from Datadog, which Prometheus cannot ask",
        "25:19 import/query: the metric comes from Datadog, which Prometheus cannot ask",
    ),
    "test/v1/slo/slo-with-annotations.yaml": ("9:5 spec/missing-key: spec.indicator lacks `spec`",),
    "test/v1/slo/slo-with-labels.yaml": ("16:5 spec/missing-key: spec.indicator lacks `spec`",),
    "test/v1alpha/valid-slos-ratio.yaml": ("my-test-service ratio: time slices, 98 % over 28d (my-test-service)",),
    "test/v1alpha/valid-slos-threshold.yaml": (
        "my-awesome-service my-amazing-slo: time slices, 99 % over calendar-month (my-awesome-service)",
    ),
}


class Module(Struct, frozen=True, kw_only=True):
    """One release of a Go module, and what the import makes of its files."""

    name: str
    checksum: str
    folders: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    must_be_had: bool  # in CI: Sloth is pinned beside Prometheus, and other modules may go from the proxy


MODULES = {
    "sloth": Module(
        name="github.com/slok/sloth@v0.16.0",
        checksum="h1:3CpcWE0H0Ixe60b+DnBAfdiusnuNm8+t1MIGkksfsuQ=",
        folders=("examples", "test/integration"),
        files=SLOTH_FILES,
        must_be_had=True,
    ),
    "openslo": Module(
        name="github.com/OpenSLO/oslo@v0.12.0",
        checksum="h1:0zdxMgFE59TUKpe/L4+5ujgmJZW/kAuCOJbyqrTX4lc=",
        folders=("examples", "test"),
        files=OSLO_FILES,
        must_be_had=False,
    ),
}


class Published(Struct, frozen=True, kw_only=True):
    """A module's examples by name, and what the table says of them."""

    examples: Mapping[str, Example]
    stated: Mapping[str, tuple[str, ...]]

    def taken(self) -> list[Example]:
        """The examples that become specs, each content once."""
        names = [name for name, rows in self.stated.items() if not rows[0][0].isdigit()]
        by_content = {self.examples[name].path.read_bytes(): self.examples[name] for name in names}
        return list(by_content.values())


@pytest.fixture(scope="session", params=MODULES)
def published(request: pytest.FixtureRequest) -> Published:
    """The examples of each module in turn; a module that cannot be had is skipped, or fails in CI."""
    module = MODULES[request.param]
    try:
        root = source(module.name, module.checksum)
    except SetupError as error:
        if module.must_be_had and missing_is_an_error():
            pytest.fail(str(error))
        pytest.skip(str(error))
    paths = [path for folder in module.folders for path in sorted((root / folder).rglob("*.y*ml"))]
    named = {path.relative_to(root).as_posix(): path for path in paths if "_gen" not in path.parts}
    examples = {name: Example(tool=tool_of(path), path=path) for name, path in named.items()}
    return Published(examples=examples, stated=module.files)


def tool_of(path: Path) -> str:
    """The tool that reads a file: Sloth's users write OpenSLO too."""
    return "openslo" if "openslo" in path.read_text(encoding="utf-8").lower() else "sloth"


def test_import(published: Published) -> None:
    """Each file becomes the stated SLOs, or is refused for the stated reasons at the stated places."""
    found = {name: said(example) for name, example in published.examples.items()}
    assert {name: rows for name, rows in found.items() if rows} == published.stated


def test_promtool_agrees_with_all_rules(published: Published, generation: Generation, tmp_path: Path) -> None:
    """`promtool check rules` accepts what the generator makes of every example."""
    check(published.taken(), generation, tmp_path)


@pytest.mark.soak
def test_all_proofs_hold(published: Published, generation: Generation, tmp_path: Path) -> None:
    """The proofs of every example hold."""
    prove(published.taken(), generation, tmp_path)
