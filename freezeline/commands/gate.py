"""`freezeline gate`: may this service ship now? GO, NO_GO or CANNOT_TELL, with the reasons."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from freezeline import headers
from freezeline.commands import whole
from freezeline.problems import Problems, printable, render
from freezeline.remote import Remote, RemoteError, add_options, remote
from receiver.rehearsals import FILE, HOST
from receiver.sources.prometheus import Prometheus
from release.gate import formats
from release.gate.answer import EXIT_CODES, Report
from release.gate.run import run as run_gate
from release.gate.world import AskReceiver, EvidenceError, World
from release.policy.gate import Gate
from release.policy.read import ReleasePolicy, read

CANNOT_TELL = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Ask every check of a policy's gate before a release. "
        "Exit codes: 0 GO, 1 NO-GO, 2 cannot tell; a pipeline must ship on 0 only."
    )
    parser.epilog = (
        "Example: freezeline gate rules/policy/shop.policy.json --prometheus http://127.0.0.1:9090 --junit gate.xml"
    )
    parser.add_argument("policy", type=Path, help="the policy file that `freezeline generate` wrote")
    headers.add_options(parser, use="the Prometheus that runs the spec's rules")
    parser.add_argument(
        "--directory",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="where relative paths of reports begin (default: .)",
    )
    parser.add_argument(
        "--rehearsals",
        metavar="FILE",
        type=Path,
        help="the history of rehearsals (default: rehearsals.jsonl of --state)",
    )
    parser.add_argument(
        "--host",
        default=os.environ.get(HOST),
        help="the machine whose rehearsals count (also FREEZELINE_HOST; default: this machine)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the report as Markdown, too")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write the report as JUnit's XML, too")
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, print and write the report. Whatever goes wrong means: cannot tell."""
    problems = Problems()
    policy = read(args.policy, problems)
    if policy is None:
        for problem in problems:
            sys.stderr.write(render(problem) + "\n")
        return CANNOT_TELL
    if policy.gate is None:
        sys.stderr.write(f"freezeline gate: {args.policy}: the spec has no gate; add `gate:` and generate again\n")
        return CANNOT_TELL
    try:
        receiver = _receiver(args)
        sent = headers.read(args.header, os.environ)
        report = asyncio.run(_ask(args, policy, policy.gate, receiver, sent))
        for path, made in ((args.markdown, formats.markdown), (args.junit, formats.junit)):
            if path is not None:
                whole.write(path, made(report))
    except (RemoteError, OSError, ValueError) as error:
        sys.stderr.write(f"freezeline gate: {printable(str(error))}\n")
        return CANNOT_TELL
    sys.stdout.write(formats.as_json(report) if args.json else formats.text(report))
    return EXIT_CODES[report.verdict]


def _receiver(args: argparse.Namespace) -> Remote | None:
    if args.state is None and args.url is None:
        return None
    return remote(args, "read")


def _asking(receiver: Remote) -> AskReceiver:
    """A question to the receiver about its state."""

    async def state() -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = await asyncio.to_thread(receiver.get, "/api/v1/state")
        except RemoteError as error:
            raise EvidenceError(str(error)) from error
        return found

    return state


async def _ask(
    args: argparse.Namespace, policy: ReleasePolicy, gate: Gate, receiver: Remote | None, sent: Mapping[str, str]
) -> Report:
    rehearsals = args.rehearsals or (Path(args.state) / FILE if args.state is not None else None)
    async with aiohttp.ClientSession() as http:
        world = World(
            policy=policy.policy,
            checks={check.id: check for check in gate.checks},
            now=datetime.now(UTC),
            environment=os.environ,
            directory=args.directory,
            rehearsals=rehearsals,
            host=args.host or socket.gethostname(),
            prometheus=Prometheus(http, args.prometheus, lambda: sent) if args.prometheus else None,
            receiver=_asking(receiver) if receiver is not None else None,
            sources=gate.sources,
        )
        return await run_gate(gate, world)
