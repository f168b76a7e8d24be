"""The recipes of docs/gitops.md against stand-ins of the tools, each called as the receiver calls a legacy freezer."""

import copy
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field

from freezeline.cli import main
from tests.fakes.json_api import Api, Asked, serving
from tests.tools import ROOT

pytestmark = pytest.mark.acceptance

FREEZER = ROOT / "examples" / "gitops" / "freezer.py"
PAGE = (ROOT / "docs" / "gitops.md").read_text("utf-8")
TOKEN = "a-token-of-the-tool"
DEADLINE_S = 30


def freezer(api: Api, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call the script against a stand-in, with nothing but the standard library."""
    (folder / "token").write_text(f"{TOKEN}\n")
    with serving(api) as url:
        argv = [sys.executable, "-I", "-S", str(FREEZER), *words, "--url", url, "--token-file", str(folder / "token")]
        return subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env={})


class Tool(Struct, kw_only=True):
    """Refuses requests without the token, and counts what was written."""

    header: str = "authorization"
    token: str = f"Bearer {TOKEN}"
    written: int = 0

    def __call__(self, asked: Asked) -> tuple[int, Any]:
        """Answer a request."""
        if asked.headers.get(self.header) != self.token:
            return 401, {"message": "no token"}
        self.written += asked.method != "GET"
        return self.answer(asked)

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """Answer a request with the right token."""
        raise NotImplementedError


class Cluster(Tool, kw_only=True):
    """One object of Kubernetes at one path, with the check of its version, as an API server does."""

    path: str
    thing: dict[str, Any]
    version: int = 1
    conflicts: int = 0

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """Read or replace the object."""
        if asked.path != self.path:
            return 404, {"reason": "NotFound"}
        if asked.method == "PUT":
            if self.conflicts or asked.body["metadata"]["resourceVersion"] != str(self.version):
                self.conflicts = max(self.conflicts - 1, 0)
                self.version += 1
                return 409, {"reason": "Conflict"}
            self.thing, self.version = asked.body, self.version + 1
        answer = copy.deepcopy(self.thing)
        answer["metadata"]["resourceVersion"] = str(self.version)
        return 200, answer


ARGO = ("argocd", "--project", "shop", "--application", "checkout")
FLUX = ("flux", "--namespace", "apps", "--name", "checkout")


def call(words: tuple[str, ...], state: str) -> tuple[str, ...]:
    """The words of a recipe with `on` or `off`."""
    return words[0], state, *words[1:]


def test_argo_cd_gets_a_sync_window_and_loses_it(tmp_path: Path) -> None:
    """Windows of people stay as they are, and a window of another application too."""
    of_people = {"kind": "allow", "schedule": "0 9 * * *", "duration": "8h", "applications": ["*"]}
    other = {"kind": "deny", "schedule": "* * * * *", "duration": "24h", "applications": ["cart"]}
    project = {"metadata": {"name": "shop"}, "spec": {"syncWindows": [of_people, other], "sourceRepos": ["*"]}}
    argo = Cluster(path="/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects/shop", thing=copy.deepcopy(project))
    for _ in range(2):
        assert freezer(argo, tmp_path, *call(ARGO, "on")).returncode == 0
        ours = {"kind": "deny", "schedule": "* * * * *", "duration": "24h", "manualSync": False}
        assert argo.thing["spec"]["syncWindows"] == [of_people, other, {**ours, "applications": ["checkout"]}]
    for _ in range(2):
        assert freezer(argo, tmp_path, *call(ARGO, "off")).returncode == 0
        assert argo.thing["spec"] == project["spec"]
    assert argo.written == 2


@pytest.mark.parametrize("kind", ["kustomizations", "helmreleases"])
def test_flux_is_suspended_and_resumed(tmp_path: Path, kind: str) -> None:
    """By the API version of the kind."""
    group = "kustomize.toolkit.fluxcd.io/v1" if kind == "kustomizations" else "helm.toolkit.fluxcd.io/v2"
    path = f"/apis/{group}/namespaces/apps/{kind}/checkout"
    cluster = Cluster(path=path, thing={"metadata": {"name": "checkout"}, "spec": {"interval": "1m"}})
    words = (*FLUX, "--kind", kind)
    for _ in range(2):
        assert freezer(cluster, tmp_path, *call(words, "on")).returncode == 0
        assert cluster.thing["spec"]["suspend"] is True
    for _ in range(2):
        assert freezer(cluster, tmp_path, *call(words, "off")).returncode == 0
        assert cluster.thing["spec"]["suspend"] is False
    assert cluster.written == 2


def test_flux_stays_suspended_by_a_person(tmp_path: Path) -> None:
    """The freeze has not suspended it, so the end of the freeze does not resume it."""
    path = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/apps/kustomizations/checkout"
    cluster = Cluster(path=path, thing={"metadata": {"name": "checkout"}, "spec": {"suspend": True}})
    for state in ("on", "off"):
        assert freezer(cluster, tmp_path, *call(FLUX, state)).returncode == 0
    assert (cluster.thing["spec"], cluster.written) == ({"suspend": True}, 0)


@pytest.mark.parametrize("conflicts, code", [(3, 0), (9, 1)])
def test_a_change_of_somebody_else_is_never_overwritten(tmp_path: Path, conflicts: int, code: int) -> None:
    """The script reads again and tries again; in the end the script fails, and the receiver calls again later."""
    path = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/apps/kustomizations/checkout"
    cluster = Cluster(path=path, thing={"metadata": {}, "spec": {}}, conflicts=conflicts)
    assert freezer(cluster, tmp_path, *call(FLUX, "on")).returncode == code
    assert cluster.thing["spec"].get("suspend", False) is (code == 0)


class GitHub(Tool, kw_only=True):
    """Environments: a PUT forgets what the body does not name."""

    policy: dict[str, bool] | None = None
    branches: int = 0
    settings: dict[str, Any] = field(
        default_factory=lambda: {"wait_timer": 5, "reviewers": [{"type": "User", "id": 3}], "prevent_self_review": True}
    )

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """Read or replace the environment `production/eu`."""
        place = "/repos/acme/checkout/environments/production%2Feu"
        if asked.path == f"{place}/deployment-branch-policies":
            return 200, {"total_count": self.branches, "branch_policies": []}
        if asked.path != place:
            return 404, {"message": "Not Found"}
        if asked.method == "PUT":
            self.policy = asked.body.get("deployment_branch_policy")
            self.settings = {name: asked.body.get(name) for name in self.settings}
        reviewers = [{"type": one["type"], "reviewer": {"id": one["id"]}} for one in self.settings["reviewers"] or ()]
        rules = [
            {"type": "wait_timer", "wait_timer": self.settings["wait_timer"]},
            {"type": "required_reviewers", "reviewers": reviewers, "prevent_self_review": True},
        ]
        return 200, {"name": "production/eu", "protection_rules": rules, "deployment_branch_policy": self.policy}


HUB = ("github", "--repository", "acme/checkout", "--environment", "production/eu")


def test_githubs_environment_takes_no_branch_while_frozen(tmp_path: Path) -> None:
    """Wait timer and reviewers stay as they were."""
    hub = GitHub()
    before = dict(hub.settings)
    for _ in range(2):
        assert freezer(hub, tmp_path, *call(HUB, "on")).returncode == 0
        assert hub.policy == {"protected_branches": False, "custom_branch_policies": True}
    for _ in range(2):
        assert freezer(hub, tmp_path, *call(HUB, "off")).returncode == 0
        assert hub.policy is None
    assert (hub.settings, hub.written) == (before, 2)


@pytest.mark.parametrize(
    "hub",
    [
        GitHub(policy={"protected_branches": True, "custom_branch_policies": False}),
        GitHub(policy={"protected_branches": False, "custom_branch_policies": True}, branches=1),
    ],
    ids=["protected", "named"],
)
def test_githubs_own_rules_for_branches_are_not_touched(tmp_path: Path, hub: GitHub) -> None:
    """The script says what to do instead, and fails, so that nobody believes in a freeze that is none."""
    before = copy.deepcopy(hub.policy)
    done = freezer(hub, tmp_path, *call(HUB, "on"))
    assert (done.returncode, hub.policy, hub.written) == (1, before, 0)
    assert "let the workflow call `freezeline gate`" in done.stderr


class GitLab(Tool, kw_only=True):
    """Freeze periods of one project."""

    header: str = "private-token"
    token: str = TOKEN
    periods: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """List, add or delete."""
        place = "/projects/acme%2Fcheckout/freeze_periods"
        if asked.path == place and asked.method == "POST":
            self.periods.append({"id": 20 + len(self.periods), **asked.body})
        elif asked.method == "DELETE":
            self.periods = [one for one in self.periods if asked.path != f"{place}/{one['id']}"]
        elif asked.path != place:
            return 404, {"message": "404 Not found"}
        return 200, self.periods


def test_gitlab_gets_a_freeze_period_and_loses_it(tmp_path: Path) -> None:
    """The weekend's freeze of a person stays."""
    weekend = {"id": 1, "freeze_start": "0 23 * * 5", "freeze_end": "0 8 * * 1", "cron_timezone": "UTC"}
    lab = GitLab(periods=[weekend])
    words = ("gitlab", "--project", "acme/checkout")
    for _ in range(2):
        assert freezer(lab, tmp_path, *call(words, "on")).returncode == 0
        assert [one["freeze_start"] for one in lab.periods] == ["0 23 * * 5", "* * * * *"]
    for _ in range(2):
        assert freezer(lab, tmp_path, *call(words, "off")).returncode == 0
        assert lab.periods == [weekend]
    assert lab.written == 2


@pytest.mark.parametrize("words", [ARGO, FLUX, HUB, ("gitlab", "--project", "1")], ids=lambda words: words[0])
def test_a_tool_that_refuses_or_is_away_is_a_failure(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Exit code 1 and a reason without the token, so that the receiver reports the freeze as failed and tries again."""
    refused = freezer(lambda _asked: (403, {"message": "forbidden"}), tmp_path, *call(words, "on"))
    assert (refused.returncode, "was answered with 403" in refused.stderr) == (1, True)
    moved = freezer(lambda _asked: (302, {}), tmp_path, *call(words, "on"))
    assert (moved.returncode, "was answered with 302" in moved.stderr) == (1, True)
    nowhere = ("--url", "http://127.0.0.1:9", "--token-file", str(tmp_path / "token"))
    argv = [sys.executable, str(FREEZER), *call(words, "on"), *nowhere]
    away = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (away.returncode, "does not answer" in away.stderr) == (1, True)
    assert TOKEN not in refused.stderr + moved.stderr + away.stderr


def test_the_page_shows_recipes_that_generate_and_the_script_accept(tmp_path: Path) -> None:
    """One for each tool, whose `on` and `off` differ in that word alone."""
    script = runpy.run_path(str(FREEZER))
    recipes = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    tools = []
    for number, recipe in enumerate(recipes):
        folder = tmp_path / str(number)
        (folder / "slos").mkdir(parents=True)
        (folder / "slos" / "shop.yaml").write_text(SPEC[: SPEC.index("actions:")] + recipe)
        assert main(["generate", str(folder / "slos"), "-o", str(folder)]) == 0
        policy = json.loads((folder / "rules" / "policy" / "shop.policy.json").read_text())
        (legacy,) = policy["actions"]["freeze"]["legacy"]
        program, *on = legacy["on"]
        assert program == "/opt/freezeline-recipes/freezer.py"
        assert legacy["off"] == [program, *("off" if word == "on" else word for word in on)]
        tools.append(script["words"]().parse_args(on).work.__name__)
    assert tools == ["argocd", "flux", "github", "gitlab"]


SPEC = """\
apiVersion: freezeline/v1
service: shop
owner: {team: payments}
alerts:
  FailureRateHigh:
    ratio: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}
    over: 5m
    above: 0.5%
    for: 1m
    severity: critical
gate:
  sources: {flag: optional, prometheus: optional, receiver: required}
  checks:
    - {id: not-frozen}
policy:
  - {on: {alert: FailureRateHigh}, do: [freeze]}
actions:
  freeze: {flag: /var/lib/freezeline-flags/shop/FREEZE.FLAG}
"""


@pytest.mark.parametrize("frozen", [False, True])
def test_the_jenkinsfile_asks_the_receiver(tmp_path: Path, frozen: bool) -> None:  # noqa: FBT001 - a case
    """The pipeline's shell step on an agent that sees no flag."""
    steps = re.findall(r"sh '''\n(.*?)'''", (ROOT / "examples" / "ci" / "Jenkinsfile").read_text(), re.DOTALL)
    assert len(steps) == 1
    (tmp_path / "slos").mkdir()
    (tmp_path / "slos" / "shop.yaml").write_text(SPEC)
    assert main(["generate", str(tmp_path / "slos"), "-o", str(tmp_path)]) == 0

    def receiver(asked: Asked) -> tuple[int, Any]:
        assert asked.headers["authorization"] == f"Bearer {TOKEN}"
        return 200, {"services": [{"service": "shop", "frozen": frozen, "reasons": [{"reason": "errors"}]}]}

    (tmp_path / "token").write_text(TOKEN)
    with serving(receiver) as url:
        env: Mapping[str, str] = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PROMETHEUS": "http://127.0.0.1:9",
            "FREEZELINE_URL": url,
            "FREEZELINE_TOKEN_FILE": str(tmp_path / "token"),
        }
        argv = ["sh", "-e", "-c", steps[0]]
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == int(frozen), done.stdout + done.stderr
    assert ("<failure" in (tmp_path / "gate.xml").read_text()) is frozen
