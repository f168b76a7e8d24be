"""One comment on the pull request for which a pipeline of GitHub or GitLab runs: written once, then kept current.

The pipeline's own variables say where the pull request is. The comment begins with a mark that no reader sees, by which
the next run finds the comment.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from freezeline.problems import printable

MARK = "<!-- freezeline diff -->"
TIMEOUT_S = 20.0
PER_PAGE = 100
PAGES_MAX = 50
LENGTH_MAX = 60_000
"""GitHub takes 65,536 characters; GitLab takes more."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token is for this server alone."""

    def redirect_request(self, *_args: object, **_more: object) -> None:
        """Refuse, so that the redirect becomes an HTTPError."""


_OPENER = urllib.request.build_opener(_NoRedirect)


class CommentError(Exception):
    """There is no pull request here, or the server refuses; the message says what to do."""


class PullRequest(Struct, frozen=True, kw_only=True):
    """Where comments of one pull request are listed and made, and where a single one is changed."""

    comments: str
    one: str
    change: str
    headers: Mapping[str, str]
    may_write: str
    """What a token needs, for the message after a refusal."""

    def put(self, text: str) -> str:
        """Write the comment, or change it: `made`, `changed` or `same`. Raises CommentError."""
        body = f"{MARK}\n{text}"
        earlier = self._earlier()
        if earlier is None:
            self._ask("POST", self.comments, {"body": body})
            return "made"
        if earlier["body"] == body:
            return "same"
        self._ask(self.change, f"{self.one}/{earlier['id']}", {"body": body})
        return "changed"

    def has_comment(self) -> bool:
        """Whether an earlier run has written the comment. Raises CommentError."""
        return self._earlier() is not None

    def _earlier(self) -> dict[str, Any] | None:
        for page in range(1, PAGES_MAX + 1):
            listed = self._ask("GET", f"{self.comments}?per_page={PER_PAGE}&page={page}", None)
            for comment in listed:
                if str(comment.get("body", "")).startswith(MARK):
                    return dict(comment)
            if len(listed) < PER_PAGE:
                break
        return None

    def _ask(self, method: str, url: str, body: object) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        request = urllib.request.Request(url, data=data, method=method, headers=headers)  # noqa: S310 - see `_web`
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                hint = f"; {self.may_write}" if error.code in (401, 403, 404) else ""
            raise CommentError(f"{method} {printable(url)} was answered with {error.code}{hint}") from error
        except (OSError, ValueError) as error:
            raise CommentError(f"{printable(url)} does not answer: {printable(str(error))}") from error


def of_environment(env: Mapping[str, str]) -> PullRequest:
    """The pull request that the variables of GitHub Actions or GitLab CI name. Raises CommentError."""
    if env.get("GITHUB_ACTIONS"):
        return _github(env)
    if env.get("GITLAB_CI"):
        return _gitlab(env)
    raise CommentError("this is no pipeline of GitHub Actions or GitLab CI: leave `--comment` away")


def as_markdown(summary: str, changes: str) -> str:
    """The changes as a comment: a summary, and the details in a block that no text inside can close."""
    if not changes:
        return f"**Freezeline**: {summary}\n"
    if len(changes) > LENGTH_MAX:
        changes = changes[:LENGTH_MAX] + "\n… the log of the pipeline shows the rest"
    fence = "```"
    while fence in changes:
        fence += "`"
    return f"**Freezeline**: {summary}\n\n{fence}text\n{changes.rstrip()}\n{fence}\n"


def _github(env: Mapping[str, str]) -> PullRequest:
    try:
        event = json.loads(Path(env["GITHUB_EVENT_PATH"]).read_text("utf-8"))
        number = int(event["pull_request"]["number"])
    except (KeyError, TypeError, OSError, ValueError) as error:
        raise CommentError("this run has no pull request: let `on: pull_request` start the workflow") from error
    issues = f"{_web(env, 'GITHUB_API_URL')}/repos/{_needed(env, 'GITHUB_REPOSITORY')}/issues"
    return PullRequest(
        comments=f"{issues}/{number}/comments",
        one=f"{issues}/comments",
        change="PATCH",
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {_needed(env, 'GITHUB_TOKEN')}",
            "X-GitHub-Api-Version": "2022-11-28",
        },
        may_write="give the job `permissions: {pull-requests: write}`; runs for forks may not write comments",
    )


def _gitlab(env: Mapping[str, str]) -> PullRequest:
    number = env.get("CI_MERGE_REQUEST_IID", "")
    if not number:
        raise CommentError("this run has no merge request: add `rules: [{if: $CI_MERGE_REQUEST_IID}]` to the job")
    api = f"{_web(env, 'CI_API_V4_URL')}/projects/{_needed(env, 'CI_PROJECT_ID')}"
    notes = f"{api}/merge_requests/{number}/notes"
    return PullRequest(
        comments=notes,
        one=notes,
        change="PUT",
        headers={"PRIVATE-TOKEN": _needed(env, "FREEZELINE_GITLAB_TOKEN")},
        may_write="FREEZELINE_GITLAB_TOKEN needs the scope `api` and the role Reporter",
    )


def _needed(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise CommentError(f"the variable {name} is not set: set {name} for this job")
    return value


def _web(env: Mapping[str, str], name: str) -> str:
    """The address in a variable: HTTP alone, so that no file is opened in its place."""
    url = _needed(env, name).rstrip("/")
    if not url.startswith(("https://", "http://")):
        raise CommentError(f"{name} is no address of a web server")
    return url
