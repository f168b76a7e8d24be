"""The GitHub actions and the GitLab components: schemas, and every shell step, executed as a runner does."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from freezeline.cli import main
from tests.fakes.json_api import Asked, serving
from tests.tools import ROOT, generations, missing_is_an_error

pytestmark = pytest.mark.acceptance

GITHUB = ROOT / "packaging" / "github"
GITLAB = ROOT / "packaging" / "gitlab" / "templates"
STEP_DEADLINE_S = 60
SPEC = """\
apiVersion: freezeline/v1
service: checkout
owner: {{team: payments}}
alerts:
  FailureRateHigh:
    ratio: {{bad: 'http_requests_total{{code=~"5.."}}', total: http_requests_total}}
    over: 5m
    above: 0.5%
    for: 1m
    severity: critical
gate:
  sources: {{flag: required, prometheus: optional}}
  checks:
    - {{id: not-frozen}}
policy:
  - {{on: {{alert: FailureRateHigh}}, do: [freeze]}}
actions:
  freeze: {{flag: {folder}/FREEZE.FLAG}}
"""
# Each condition of a step, and whether the step also runs after a step that failed.
AFTER_A_FAILURE = {
    "": False,
    "inputs.verify == 'true'": False,
    "${{ !cancelled() && inputs.comment == 'true' && github.event_name == 'pull_request' }}": True,
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A user's checkout: a spec and its artefacts, committed, and a flags' directory with a fresh heartbeat."""
    folder = tmp_path / "repository"
    (folder / "slos").mkdir(parents=True)
    (folder / "flags").mkdir()
    (folder / "slos" / "checkout.yaml").write_text(SPEC.format(folder=folder / "flags"))
    assert main(["generate", str(folder / "slos"), "-o", str(folder)]) == 0
    beat = {"format": "freezeline.heartbeat/1", "at": datetime.now(UTC).isoformat(), "policies": {"checkout": "x"}}
    (folder / "flags" / "FREEZE.HEARTBEAT").write_text(json.dumps(beat))
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for argv in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-q", "-m", "specs"]):
        subprocess.run(["git", *argv], cwd=folder, check=True, timeout=30)
    return folder


def head(repository: Path) -> str:
    """The commit that a pull request starts from."""
    argv = ["git", "rev-parse", "HEAD"]
    return subprocess.run(argv, cwd=repository, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def loosen(repository: Path) -> None:
    """The change of the pull request."""
    spec = repository / "slos" / "checkout.yaml"
    spec.write_text(spec.read_text().replace("0.5%", "2%"))


def path() -> str:
    """PATH with freezeline and promtool, as a runner has it after the steps that install."""
    if not generations() and missing_is_an_error():
        pytest.fail("no promtool")
    tools = [str(one.promtool.parent) for one in generations()]
    return os.pathsep.join([str(Path(sys.executable).parent), *tools, os.environ["PATH"]])


def shell(script: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step in the shell of GitHub's runner, with its options."""
    whole = {"PATH": path(), "HOME": str(cwd), **env}
    argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(
        argv, cwd=cwd, env=whole, capture_output=True, text=True, timeout=STEP_DEADLINE_S, check=False
    )


def github(name: str, values: Mapping[str, str], cwd: Path, env: Mapping[str, str]) -> dict[str, int]:
    """Run every step of an action, and return the exit code of each that ran. An unknown expression is an error."""
    action = yaml.safe_load((GITHUB / name / "action.yml").read_text())
    defaults = {f"inputs.{key}": str(one.get("default", "")) for key, one in action["inputs"].items()}
    known = {**defaults, **values}

    def filled(text: str) -> str:
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: filled(known[found[1]]), text)

    codes: dict[str, int] = {}
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash"
        if AFTER_A_FAILURE[step.get("if", "")] or not any(codes.values()):
            own = {key: filled(value) for key, value in step.get("env", {}).items()}
            done = shell(step["run"], cwd, {**env, "GITHUB_ACTION_PATH": str(GITHUB / name), **own})
            print(step["name"], done.returncode, done.stdout, done.stderr)
            codes[step["name"]] = done.returncode
    return codes


class Comments:
    """The comments of one pull request, of GitHub or GitLab."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """List, or make."""
        assert asked.path in ("/repos/o/r/issues/7/comments", "/projects/5/merge_requests/7/notes")
        if asked.method == "POST":
            self.bodies.append(asked.body["body"])
        return 200, []


@pytest.fixture
def comments() -> Iterator[tuple[str, Comments]]:
    """The address of the API, and what was written there."""
    one = Comments()
    with serving(one.answer) as url:
        yield url, one


def pull_request(url: str, folder: Path) -> dict[str, str]:
    """The variables that GitHub sets."""
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": url,
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_EVENT_PATH": str(event),
    }


def test_githubs_check_passes_and_comments(repository: Path, tmp_path: Path, comments: tuple[str, Comments]) -> None:
    """A change with its artefacts: every step passes, and the pull request says what the change means."""
    url, written = comments
    values = {"github.token": "t", "github.event.pull_request.base.sha": head(repository)}
    loosen(repository)
    assert main(["generate", str(repository / "slos"), "-o", str(repository)]) == 0
    codes = github("check", values, repository, pull_request(url, tmp_path))
    assert (len(codes), set(codes.values())) == (5, {0})
    assert ["[5m])) > 0.02" in body for body in written.bodies] == [True]


def test_githubs_check_fails_without_the_artefacts_and_comments_all_the_same(
    repository: Path, tmp_path: Path, comments: tuple[str, Comments]
) -> None:
    """The proofs are not run for artefacts that nobody generated."""
    url, written = comments
    values = {"github.token": "t", "github.event.pull_request.base.sha": head(repository)}
    loosen(repository)
    codes = github("check", values, repository, pull_request(url, tmp_path))
    assert codes == {
        "Install freezeline from this action's version": 0,
        "Install promtool": 0,
        "Generated files follow from the specs": 1,
        "Say what the change means": 0,
    }
    assert len(written.bodies) == 1


@pytest.mark.parametrize("frozen, verdict", [(False, "GO"), (True, "NO_GO")])
def test_githubs_gate(repository: Path, tmp_path: Path, frozen: bool, verdict: str) -> None:  # noqa: FBT001
    """The step fails unless the gate says GO; verdict and summary are there in both cases."""
    if frozen:
        (repository / "flags" / "FREEZE.FLAG").write_text("{}")
    env = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    values = {"inputs.policy": "rules/policy/checkout.policy.json"}
    codes = github("gate", values, repository, env)
    assert codes["May this service ship now?"] == int(frozen)
    assert (tmp_path / "output").read_text() == f"verdict={verdict}\n"
    assert "not-frozen" in (tmp_path / "summary").read_text()


def test_githubs_gate_asks_the_receiver_with_a_token_that_no_other_process_sees(
    repository: Path, tmp_path: Path
) -> None:
    """The token reaches the receiver, and stays neither in a file nor in the words of a command."""
    seen = []

    def receiver(asked: Asked) -> tuple[int, Any]:
        seen.append(asked.headers.get("authorization"))
        return 500, {}

    env = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    env["TMPDIR"] = str(tmp_path / "scratch")
    (tmp_path / "scratch").mkdir()
    with serving(receiver) as url:
        values = {"inputs.policy": "rules/policy/checkout.policy.json", "inputs.url": url, "inputs.token": "a" * 20}
        github("gate", values, repository, env)
    assert set(seen) == {f"Bearer {'a' * 20}"}
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_actions_install_their_own_version(tmp_path: Path) -> None:
    """With pipx, from the checkout in which the runner has put the action, and with the pinned versions."""
    stub = tmp_path / "pipx"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stub.chmod(0o755)
    for name in ("check", "gate"):
        step = yaml.safe_load((GITHUB / name / "action.yml").read_text())["runs"]["steps"][0]
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GITHUB_ACTION_PATH": str(GITHUB / name)}
        words = shell(step["run"], tmp_path, env).stdout.split("\n")
        assert words[0] == "install"
        option, constraints = words[1].split("--constraint=")
        assert option == "--pip-args="
        assert Path(constraints).resolve() == ROOT / "constraints.txt"
        assert Path(words[2]).resolve() == ROOT


def gitlab(name: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """The jobs of a component with its inputs, as GitLab fills them in."""
    head_, body = (GITLAB / f"{name}.yml").read_text().split("\n---\n")
    defaults = {key: (one or {}).get("default") for key, one in yaml.safe_load(head_)["spec"]["inputs"].items()}
    known = {**defaults, **inputs}
    jobs: dict[str, Any] = yaml.safe_load(
        re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda found: str(known[found[1]]), body)
    )
    return jobs


def job(jobs: Mapping[str, Any], name: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a job's lines one after the other, as GitLab's runner does."""
    one = jobs[name]
    lines = "\n".join([*one["before_script"], *one["script"]])
    return shell(lines, cwd, {**one["variables"], **env})


def test_gitlabs_jobs(repository: Path, comments: tuple[str, Comments]) -> None:
    """Check and comment; a change in meaning is an allowed failure, wrong artefacts are none."""
    url, written = comments
    env = {
        "GITLAB_CI": "true",
        "CI_API_V4_URL": url,
        "CI_PROJECT_ID": "5",
        "CI_MERGE_REQUEST_IID": "7",
        "FREEZELINE_GITLAB_TOKEN": "t",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": head(repository),
    }
    jobs = gitlab("check", {"freezeline": "freezeline.whl"})
    assert job(jobs, "freezeline:check", repository, env).returncode == 0
    loosen(repository)
    assert job(jobs, "freezeline:check", repository, env).returncode == 1
    code = job(jobs, "freezeline:diff", repository, env).returncode
    assert code in jobs["freezeline:diff"]["allow_failure"]["exit_codes"]
    assert ["[5m])) > 0.02" in body for body in written.bodies] == [True]


def test_gitlabs_gate(repository: Path) -> None:
    """The report for GitLab is there also after a NO."""
    jobs = gitlab("gate", {"freezeline": "freezeline.whl", "policy": "rules/policy/checkout.policy.json"})
    assert job(jobs, "freezeline:gate", repository, {}).returncode == 0
    (repository / "flags" / "FREEZE.FLAG").write_text("{}")
    assert job(jobs, "freezeline:gate", repository, {}).returncode == 1
    report = repository / jobs["freezeline:gate"]["artifacts"]["reports"]["junit"]
    assert "<failure" in report.read_text()


@pytest.mark.parametrize("name", ["check", "gate"])
def test_the_schemas_know_every_key(name: str, tmp_path: Path) -> None:
    """Of GitHub's actions, and of GitLab's pipelines with the inputs filled in."""
    program = str(Path(sys.executable).with_name("check-jsonschema"))
    filled = tmp_path / f"{name}.yml"
    filled.write_text(yaml.safe_dump(gitlab(name, {"freezeline": "f", "policy": "p"})))
    for words in (
        ["vendor.github-actions", str(GITHUB / name / "action.yml")],
        ["vendor.gitlab-ci", "--data-transform", "gitlab-ci", str(filled)],
    ):
        argv = [program, "--builtin-schema", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
