#!/usr/bin/env python3
"""Carries a freeze into the tool that deploys: Argo CD, Flux, GitHub or GitLab.

A `legacy` command of a freeze (docs/gitops.md). `on` and `off` may come any number of times. `off` takes away only what
`on` has made: a window, a suspension or a rule of a person stays. Only Python's standard library is needed.

    freezer.py argocd on --project shop --application checkout
    freezer.py flux on --namespace shop --kind kustomizations --name checkout
    freezer.py github on --repository acme/checkout --environment production --token-file FILE
    freezer.py gitlab on --project 42 --token-file FILE
"""

import argparse
import json
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

TIMEOUT_S = 8.0
TRIES = 5  # while others change the same object
CLUSTER = "https://kubernetes.default.svc"
IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# A deny window of every minute never ends. Argo CD then syncs neither by itself nor by hand.
WINDOW = {"kind": "deny", "schedule": "* * * * *", "duration": "24h", "manualSync": False}
# GitLab freezes from the last start to the next end: from a minute ago to the end of the year.
PERIOD = {"freeze_start": "* * * * *", "freeze_end": "59 23 31 12 *", "cron_timezone": "UTC"}
SUSPENDED_BY = "freezeline.io/suspended"


class ToolError(Exception):
    """The tool does not answer, or refuses; the message says why."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token is for this server alone."""

    def redirect_request(self, *_args: object, **_more: object) -> None:
        """Refuse."""


class Api:
    """A server that speaks JSON."""

    def __init__(self, url: str, headers: dict[str, str], authority: Path | None = None) -> None:
        if not url.startswith(("https://", "http://")):
            raise ToolError(f"{url!r} is no address: write https://…")
        self._url = url.rstrip("/")
        self._headers = headers
        trusted = ssl.create_default_context(cafile=authority)
        self._opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=trusted))

    def ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        """The JSON of the answer; None for an empty one. Raises ToolError, or ConflictError for 409."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": kind, "Accept": "application/json"}
        request = urllib.request.Request(self._url + path, data=data, method=method, headers=headers)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            said = error.read(300).decode(errors="replace")
            if error.code == 409:
                raise ConflictError(said) from error
            raise ToolError(f"{method} {path} was answered with {error.code}: {said}") from error
        except OSError as error:
            raise ToolError(f"{self._url} does not answer: {error}") from error
        return json.loads(text) if text else None


class ConflictError(ToolError):
    """Somebody else has changed the object since it was read."""


def change(api: Api, path: str, edit: Callable[[dict[str, Any]], bool]) -> None:
    """Read an object of Kubernetes, edit it, and write it back, unless somebody else changed it in between."""
    for left in reversed(range(TRIES)):
        thing = api.ask("GET", path)
        if not edit(thing):
            return
        try:
            api.ask("PUT", path, thing)
        except ConflictError:
            if not left:
                raise
        else:
            return


def argocd(args: argparse.Namespace) -> None:
    """A sync window of the project denies syncs of the application."""
    window = {**WINDOW, "applications": [args.application]}

    def edit(project: dict[str, Any]) -> bool:
        windows = project.setdefault("spec", {}).setdefault("syncWindows", [])
        ours = [one for one in windows if all(one.get(key, False) == value for key, value in window.items())]
        if bool(ours) == (args.state == "on"):
            return False
        others = [one for one in windows if one not in ours]
        project["spec"]["syncWindows"] = [*others, window] if args.state == "on" else others
        return True

    change(kubernetes(args), f"/apis/argoproj.io/v1alpha1/namespaces/{args.namespace}/appprojects/{args.project}", edit)


def flux(args: argparse.Namespace) -> None:
    """A Kustomization or HelmRelease is suspended; what a person has suspended stays so."""
    group = {"kustomizations": "kustomize.toolkit.fluxcd.io/v1", "helmreleases": "helm.toolkit.fluxcd.io/v2"}[args.kind]

    def edit(thing: dict[str, Any]) -> bool:
        spec, notes = thing.setdefault("spec", {}), thing["metadata"].setdefault("annotations", {})
        if args.state == "on":
            if spec.get("suspend"):
                return False
            spec["suspend"], notes[SUSPENDED_BY] = True, "true"
            return True
        if notes.pop(SUSPENDED_BY, None) is None:
            return False
        spec["suspend"] = False
        return True

    change(kubernetes(args), f"/apis/{group}/namespaces/{args.namespace}/{args.kind}/{args.name}", edit)


def github(args: argparse.Namespace) -> None:
    """An environment takes deployments of no branch: it has custom rules for branches, and no such rule."""
    api = Api(args.url, {"Authorization": f"Bearer {secret(args)}", "X-GitHub-Api-Version": "2022-11-28"})
    place = f"/repos/{args.repository}/environments/{urllib.parse.quote(args.environment, safe='')}"
    now = api.ask("GET", place)
    policy = now.get("deployment_branch_policy")
    closed = {"protected_branches": False, "custom_branch_policies": True}
    wanted = closed if args.state == "on" else None
    if policy not in (None, closed) or api.ask("GET", f"{place}/deployment-branch-policies")["total_count"]:
        raise ToolError("the environment has a rule for branches already: let the workflow call `freezeline gate`")
    if policy == wanted:
        return
    # GitHub forgets the settings that a change does not name.
    kept: dict[str, Any] = {"wait_timer": 0, "reviewers": None, "prevent_self_review": False}
    for rule in now.get("protection_rules", ()):
        if rule["type"] == "wait_timer":
            kept["wait_timer"] = rule["wait_timer"]
        if rule["type"] == "required_reviewers":
            kept["reviewers"] = [{"type": one["type"], "id": one["reviewer"]["id"]} for one in rule["reviewers"]]
            kept["prevent_self_review"] = rule.get("prevent_self_review", False)
    api.ask("PUT", place, {**kept, "deployment_branch_policy": wanted})


def gitlab(args: argparse.Namespace) -> None:
    """A deploy freeze period of the project, which sets CI_DEPLOY_FREEZE in its pipelines."""
    api = Api(args.url, {"PRIVATE-TOKEN": secret(args)})
    place = f"/projects/{urllib.parse.quote(args.project, safe='')}/freeze_periods"
    ours = [one for one in api.ask("GET", f"{place}?per_page=100") if all(one.get(k) == v for k, v in PERIOD.items())]
    if args.state == "on" and not ours:
        api.ask("POST", place, PERIOD)
    if args.state == "off":
        for one in ours:
            api.ask("DELETE", f"{place}/{one['id']}")


def kubernetes(args: argparse.Namespace) -> Api:
    """The API of the cluster: by default as the service account of this pod."""
    authority = IN_POD / "ca.crt"
    return Api(args.url, {"Authorization": f"Bearer {secret(args)}"}, authority if authority.exists() else None)


def secret(args: argparse.Namespace) -> str:
    """The token, which never stands in the words of a command."""
    try:
        return Path(args.token_file).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"{args.token_file} cannot be read: {error}") from error


def words() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="carry a freeze into the tool that deploys")
    tools = parser.add_subparsers(required=True)

    def tool(work: Callable[[argparse.Namespace], None], url: str, token: Path | None) -> argparse.ArgumentParser:
        one = tools.add_parser(work.__name__, help=work.__doc__)
        one.set_defaults(work=work)
        one.add_argument("state", choices=["on", "off"])
        one.add_argument("--url", default=url, help="the address of the API (default: %(default)s)")
        one.add_argument("--token-file", type=Path, default=token, required=token is None, help="holds the token")
        return one

    one = tool(argocd, CLUSTER, IN_POD / "token")
    one.add_argument("--namespace", default="argocd")
    one.add_argument("--project", required=True)
    one.add_argument("--application", required=True, help="the name of the application, or a pattern such as shop-*")
    one = tool(flux, CLUSTER, IN_POD / "token")
    one.add_argument("--namespace", required=True)
    one.add_argument("--kind", choices=["kustomizations", "helmreleases"], default="kustomizations")
    one.add_argument("--name", required=True)
    one = tool(github, "https://api.github.com", None)
    one.add_argument("--repository", required=True, metavar="OWNER/NAME")
    one.add_argument("--environment", required=True)
    one = tool(gitlab, "https://gitlab.com/api/v4", None)
    one.add_argument("--project", required=True, help="the number or path of the project")
    return parser


def main(argv: list[str]) -> int:
    """Turn the freeze on or off. Exit code 1 if the tool did not follow: the receiver then says so and tries again."""
    args = words().parse_args(argv)
    try:
        args.work(args)
    except ToolError as error:
        sys.stderr.write(f"freezer.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
