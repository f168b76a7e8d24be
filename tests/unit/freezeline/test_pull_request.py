"""`freezeline diff --comment` against stand-ins of GitHub and GitLab: one comment, kept current."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field

from freezeline.cli import ENVIRONMENT, OK, PROBLEMS, main
from freezeline.pull_request import LENGTH_MAX, MARK, CommentError, as_markdown, of_environment
from tests.fakes.json_api import Asked, serving

SPEC = """\
apiVersion: freezeline/v1
service: checkout
owner: {team: payments}
slos:
  availability:
    objective: 99.9
    sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}
"""
PLACES = {"github": "/repos/o/r/issues/7/comments", "gitlab": "/projects/5/merge_requests/7/notes"}


class Forge(Struct, kw_only=True):
    """What GitHub and GitLab do with comments: list them by page, make one, change one, refuse a wrong token."""

    kind: str
    comments: list[dict[str, Any]] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    refuse: int = 0

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """One request of the API."""
        token = asked.headers.get("private-token") or asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token != "right" or self.refuse:
            return self.refuse or 401, {"message": "no"}
        place = PLACES[self.kind]
        if asked.method == "GET" and asked.path == place:
            first = (int(asked.query["page"]) - 1) * int(asked.query["per_page"])
            return 200, self.comments[first : first + int(asked.query["per_page"])]
        if asked.method == "POST" and asked.path == place:
            self.comments.append({"id": len(self.comments) + 100, "body": asked.body["body"]})
        elif asked.method == ("PATCH" if self.kind == "github" else "PUT"):
            one = "/repos/o/r/issues/comments" if self.kind == "github" else place
            found = [comment for comment in self.comments if asked.path == f"{one}/{comment['id']}"]
            if not found:
                return 404, {}
            found[0]["body"] = asked.body["body"]
        else:
            return 404, {}
        self.writes.append(asked.method)
        return 201, {}


@pytest.fixture(params=sorted(PLACES))
def forge(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    """A pipeline of each kind in turn, for a pull request with the number 7."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    one = Forge(kind=request.param)
    with serving(one.answer) as url:
        event = tmp_path / "event.json"
        event.write_text(json.dumps({"pull_request": {"number": 7}}))
        variables = {
            "github": {
                "GITHUB_ACTIONS": "true",
                "GITHUB_API_URL": url,
                "GITHUB_REPOSITORY": "o/r",
                "GITHUB_EVENT_PATH": str(event),
                "GITHUB_TOKEN": "right",
            },
            "gitlab": {
                "GITLAB_CI": "true",
                "CI_API_V4_URL": url,
                "CI_PROJECT_ID": "5",
                "CI_MERGE_REQUEST_IID": "7",
                "FREEZELINE_GITLAB_TOKEN": "right",
            },
        }[request.param]
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield one


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository whose first commit has the spec; its folder is the current one."""
    folder = tmp_path / "repository"
    (folder / "slos").mkdir(parents=True)
    (folder / "slos" / "checkout.yaml").write_text(SPEC)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for argv in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-q", "-m", "specs"]):
        subprocess.run(["git", *argv], cwd=folder, check=True, timeout=30)
    monkeypatch.chdir(folder)
    return folder / "slos" / "checkout.yaml"


def diff() -> int:
    """What the pipelines call."""
    return main(["diff", "--git", "main", "--comment", "slos"])


def test_one_comment_follows_the_change(forge: Forge, repository: Path) -> None:
    """Nothing is said without a change; later runs change the same comment, also when the change is taken back."""
    forge.comments = [{"id": number, "body": f"talk {number} {MARK}"} for number in range(205)]
    assert (diff(), forge.writes) == (OK, [])
    repository.write_text(SPEC.replace("99.9", "99.5"))
    assert diff() == PROBLEMS
    assert len(forge.comments) == 206
    assert "objective: 99.9 % → 99.5 %" in forge.comments[-1]["body"]
    assert (diff(), len(forge.writes)) == (PROBLEMS, 1)
    repository.write_text(SPEC.replace("99.9", "99"))
    assert diff() == PROBLEMS
    repository.write_text(SPEC)
    assert diff() == OK
    assert forge.comments[-1]["body"] == f"{MARK}\n**Freezeline**: same meaning\n"
    assert (len(forge.comments), len(forge.writes)) == (206, 3)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_refusal_says_what_the_token_needs(
    forge: Forge, repository: Path, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    """The exit code is neither that of a change nor that of none, and no message shows the token."""
    forge.refuse = status
    repository.write_text(SPEC.replace("99.9", "99.5"))
    assert diff() == ENVIRONMENT
    said = capsys.readouterr().err
    assert f"was answered with {status}" in said
    assert ("pull-requests: write" in said or "the scope `api`" in said) is (status != 500)
    assert "right" not in said


def test_a_redirect_is_not_followed(forge: Forge, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The token goes to the server of the variable alone."""
    forge.refuse = 307
    repository.write_text(SPEC.replace("99.9", "99.5"))
    assert diff() == ENVIRONMENT
    assert "was answered with 307" in capsys.readouterr().err


@pytest.mark.parametrize(
    "env, said",
    [
        ({}, "no pipeline"),
        ({"GITHUB_ACTIONS": "true"}, "on: pull_request"),
        ({"GITLAB_CI": "true"}, "CI_MERGE_REQUEST_IID"),
        ({"GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "1"}, "CI_API_V4_URL is not set"),
        ({"GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "1", "CI_API_V4_URL": "file:///etc"}, "no address"),
        (
            {"GITLAB_CI": "1", "CI_MERGE_REQUEST_IID": "1", "CI_API_V4_URL": "http://h", "CI_PROJECT_ID": "1"},
            "FREEZELINE_GITLAB_TOKEN",
        ),
    ],
)
def test_without_a_pull_request(env: dict[str, str], said: str) -> None:
    """The message names what is missing."""
    with pytest.raises(CommentError, match=said):
        of_environment(env)


def test_no_text_leaves_its_block() -> None:
    """Text of a spec cannot end the block, and long text is cut to what GitHub takes."""
    text = as_markdown("1 change in meaning", "slo a\n```\n@everyone\n")
    assert text.count("\n````") == 2
    assert text.index("@everyone") < text.rindex("````")
    assert len(as_markdown("many changes", "x" * 100_000)) < LENGTH_MAX + 500
