"""Requests from the command line to a running receiver: its address, the token, and answers as JSON."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from msgspec import Struct

from freezeline.problems import printable

ENVIRONMENT = 3
USAGE = 2
PROBLEMS = 1
TIMEOUT_S = 10.0
USUAL_PLACE = "/var/lib/freezeline"
"""The state directory of a receiver that runs as a service of the machine."""

OWN_PLACE = ".local/state/freezeline"
"""The state directory of a receiver that a person runs, below the person's home."""


class RemoteError(Exception):
    """The receiver does not answer, or refuses; `exit_code` tells the two apart."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Remote(Struct, frozen=True, kw_only=True):
    """A receiver's address, with the token for it."""

    url: str
    token: str

    def get(self, path: str) -> Any:
        """The JSON body of a GET. Raises RemoteError."""
        return self._ask(path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON body of a POST's answer. Raises RemoteError."""
        return self._ask(path, json.dumps(body).encode())

    def _ask(self, path: str, body: bytes | None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=body, headers=headers)  # noqa: S310 - checked in `remote`
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - checked in `remote`
                return json.load(response)
        except urllib.error.HTTPError as error:
            why = _refusal(error.code, error.read())
            if error.code == HTTPStatus.UNAUTHORIZED:
                why += ". Name a copy of the receiver's tokens/operate with --token-file"
            raise RemoteError(why, PROBLEMS) from error
        except (OSError, ValueError) as error:
            raise RemoteError(f"the receiver at {self.url} does not answer: {error}", ENVIRONMENT) from error


def _refusal(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the receiver answered with HTTP status {status}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options that choose the receiver."""
    parser.add_argument(
        "--state",
        metavar="DIR",
        default=os.environ.get("FREEZELINE_STATE"),
        help="the receiver's state directory, which holds its address and tokens (also FREEZELINE_STATE; default: "
        f"{USUAL_PLACE}, otherwise ~/{OWN_PLACE})",
    )
    parser.add_argument(
        "--url",
        default=os.environ.get("FREEZELINE_URL"),
        help="the address of a receiver on another machine; needs --token-file",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        default=os.environ.get("FREEZELINE_TOKEN_FILE"),
        help="a file that holds only the token (also FREEZELINE_TOKEN_FILE)",
    )


def add_operator_options(parser: argparse.ArgumentParser) -> None:
    """Options of commands that change something."""
    add_options(parser)
    parser.add_argument("--by", default=None, help="the name that the journal records (default: your login name)")
    parser.add_argument("--json", action="store_true", help="print the receiver's answer as JSON")


def operator(args: argparse.Namespace) -> str:
    """The name that the journal records."""
    if args.by:
        return str(args.by)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def usual_places() -> tuple[Path, ...]:
    """Where the state of this machine's receiver may be: the service's, or else this user's own."""
    return Path(USUAL_PLACE), Path.home() / OWN_PLACE


def remote(args: argparse.Namespace, role: str, places: Sequence[Path] | None = None) -> Remote:
    """The receiver that the options name, or else the first that has been in a usual place. Raises RemoteError."""
    try:
        state = Path() if args.url and args.token_file else _state(args.state, places or usual_places())
    except RemoteError as error:
        if error.exit_code != USAGE or not args.url:
            raise
        message = f"no token for {args.url}: name a copy of the receiver's tokens/{role} with --token-file FILE"
        raise RemoteError(message, USAGE) from error
    url = args.url or _read(
        state / "url", "start the receiver with `freezeline serve`, or name its state directory with --state"
    )
    token = _read(
        Path(args.token_file) if args.token_file else state / "tokens" / role, "name the token's file with --token-file"
    )
    if not url.startswith(("http://", "https://")):
        raise RemoteError(f"{url} is not an http:// or https:// address", 2)
    return Remote(url=url.rstrip("/"), token=token)


def _state(given: str | None, places: Sequence[Path]) -> Path:
    """The state directory: the given one, or the first usual place where a receiver has been. Raises RemoteError."""
    if given is not None:
        return Path(given)
    for place in places:
        if _was_here(place):
            return place
    looked = ", ".join(map(str, places))
    message = (
        f"there is no receiver in the usual places ({looked}): name its state directory with --state DIR, or its "
        "address with --url URL and --token-file FILE"
    )
    raise RemoteError(message, USAGE)


def _was_here(state: Path) -> bool:
    """Whether a receiver has started with this state. Raises RemoteError if this user may not look."""
    try:
        (state / "url").stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        message = (
            f"only the user of the receiver can read {state}: run the command with `sudo -u USER`, or with --url URL "
            "and --token-file FILE, a copy of the receiver's token for you"
        )
        raise RemoteError(message, ENVIRONMENT) from error
    return True


def _read(path: Path, hint: str) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RemoteError(f"{path}: {error}; {hint}", ENVIRONMENT) from error


def failed(name: str, error: RemoteError) -> int:
    """Print the error, and return the exit code."""
    sys.stderr.write(f"freezeline {name}: {printable(str(error))}\n")
    return error.exit_code


def carried_out(done: str, why: str) -> None:
    """Print what the receiver has done, and what is wrong on hosts whose receiver is gone (`why`)."""
    print(done)
    if why:
        print(f"PROBLEM {printable(why)}")


def not_carried_out(name: str, state: str, why: str) -> int:
    """Say that the receiver wants what the operator wants and cannot do it yet, and return the exit code."""
    sys.stderr.write(f"freezeline {name}: {printable(state)}: {printable(why)}; the receiver keeps trying\n")
    return PROBLEMS


def operate(name: str, args: argparse.Namespace, body: dict[str, Any]) -> tuple[int, Any]:
    """Send an operator's request. The result is the exit code, and the answer if there is one."""
    try:
        answer = remote(args, "operate").post(f"/api/v1/{name}", {**body, "by": operator(args)})
    except RemoteError as error:
        return failed(name, error), None
    if args.json:
        print(json.dumps(answer))
    return 0, answer
