"""Current Prometheus and Alertmanager, and tools for benchmarks and long tests, built by Go from the module proxy.

`go install …@version` refuses modules with replace directives. Each product therefore has a small module in
`devtools/go/` that requires it, and `go.sum` pins every byte. For a newer release, run `go get -tool
MODULE/cmd/NAME@vX` and `go mod tidy` there.

Prometheus is built without its web page, which the module does not hold. Alertmanager v0.31.1 is the last version whose
module holds its web page.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from devtools.steps import SetupError, made_at_once, run, say

MODULES = Path(__file__).resolve().parent / "go"
BUILD_DEADLINE_S = 1500
DOWNLOAD_DEADLINE_S = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """One module and the commands that are built from it."""

    name: str
    commands: tuple[str, ...]
    owner: str = "prometheus"
    version_variable: str = "github.com/prometheus/common/version.Version"
    tags: str = ""
    path: str = ""
    at_root: bool = False
    """Whether the module's root is the command, instead of `cmd/NAME`."""
    below: str = "cmd"
    """The module's folder with the commands."""

    @property
    def module(self) -> str:
        """The Go module's path."""
        return self.path or f"github.com/{self.owner}/{self.name}"

    @property
    def mains(self) -> tuple[str, ...]:
        """The Go packages of the commands."""
        return (self.module,) if self.at_root else tuple(f"{self.module}/{self.below}/{name}" for name in self.commands)

    @property
    def folder(self) -> Path:
        """The small module that requires the product."""
        return MODULES / self.name

    @property
    def version(self) -> str:
        """The release as `--version` prints it, from go.mod: Prometheus v0.315.0 calls itself 3.15.0."""
        text = (self.folder / "go.mod").read_text()
        match = re.search(rf"{re.escape(self.module)} v(\d+)\.(\d+)\.(\S+)", text)
        if match is None:
            raise SetupError(f"{self.folder / 'go.mod'} requires no {self.module}")
        major, minor, patch = match.groups()
        if self.name == "prometheus" and major == "0":
            return f"{int(minor) // 100}.{int(minor) % 100}.{patch}"
        return f"{major}.{minor}.{patch}"


PRODUCTS = {
    # Without the service discoveries of cloud providers, which saves 5 minutes. Static, file and HTTP discovery stay.
    "prometheus": Product(name="prometheus", commands=("promtool", "prometheus"), tags="remove_all_sd"),
    "alertmanager": Product(name="alertmanager", commands=("amtool", "alertmanager")),
    # For the benchmarks alone, which set their figures beside Sloth's.
    "sloth": Product(
        name="sloth",
        commands=("sloth",),
        owner="slok",
        version_variable="github.com/slok/sloth/internal/info.Version",
    ),
    # Other engines for the rules. VictoriaMetrics builds in a minute and runs in CI; long tests run the others.
    "victoriametrics": Product(
        name="victoriametrics",
        commands=("victoria-metrics", "vmalert"),
        path="github.com/VictoriaMetrics/VictoriaMetrics",
        below="app",
        version_variable="github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version",
    ),
    # Both cast Prometheus' labels to their own type of memory, which fits the labels of this tag alone.
    "thanos": Product(name="thanos", commands=("thanos",), owner="thanos-io", tags="slicelabels"),
    "cortex": Product(
        name="cortex", commands=("cortex",), owner="cortexproject", version_variable="main.Version", tags="slicelabels"
    ),
    # Releases of Mimir are no versions of its Go module, so go.mod names a commit of release 3.0.
    "mimir": Product(
        name="mimir",
        commands=("mimir", "mimirtool"),
        owner="grafana",
        version_variable="github.com/grafana/mimir/pkg/util/version.Version",
        tags="netgo,stringlabels",
    ),
    # Open-loop load, for the benchmark of the workload.
    "vegeta": Product(
        name="vegeta",
        commands=("vegeta",),
        path="github.com/tsenart/vegeta/v12",
        at_root=True,
        version_variable="main.Version",
    ),
    # For the long tests of packages alone: they look at workflows, at the chart and at the chart's objects.
    "actionlint": Product(
        name="actionlint",
        commands=("actionlint",),
        owner="rhysd",
        version_variable="github.com/rhysd/actionlint.version",
    ),
    "kubeconform": Product(
        name="kubeconform", commands=("kubeconform",), owner="yannh", version_variable="main.version"
    ),
    "helm": Product(
        name="helm",
        commands=("helm",),
        path="helm.sh/helm/v3",
        version_variable="helm.sh/helm/v3/internal/version.version",
    ),
}


def build(product: Product, target: Path) -> None:
    """Build the product's commands into `target`, all or none. Raises SetupError."""
    if shutil.which("go") is None:
        raise SetupError(f"no `go` on PATH to build {product.name}: install Go ≥ 1.26")
    say(f"building {product.name} {product.version} with Go (once; some minutes on two cores)")
    linker = f"-s -w -X {product.version_variable}={product.version}"
    with made_at_once(target) as folder:
        run(
            [
                *("go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-tags", product.tags),
                *("-ldflags", linker, "-o", f"{folder}/"),
                *product.mains,
            ],
            cwd=product.folder,
            deadline_s=BUILD_DEADLINE_S,
            env={"CGO_ENABLED": "0"},
        )


def source(module: str, checksum: str) -> Path:
    """The folder in Go's cache with the files of a module, such as `github.com/slok/sloth@v0.16.0`.

    `checksum` is the one of go.sum. Raises SetupError, also if the module has other bytes.
    """
    if shutil.which("go") is None:
        raise SetupError(f"no `go` on PATH to download {module}: install Go ≥ 1.26")
    answer = run(["go", "mod", "download", "-json", module], cwd=MODULES, deadline_s=DOWNLOAD_DEADLINE_S)
    found = json.loads(answer[answer.index("{") :])
    if found["Sum"] != checksum:
        raise SetupError(f"{module} has the checksum {found['Sum']}, not {checksum}")
    return Path(found["Dir"])
