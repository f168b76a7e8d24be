"""`freezeline drill fallback`: providers fail one after the other, and no user's request may."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp

from freezeline.drill.asked import Asked, UsageError
from receiver.plaintext import plain
from receiver.rehearsals import Rehearsal
from receiver.run.commands import ask as run_command
from receiver.run.run_environment import child_environment
from release.drill.experiment import DrillError, run
from release.drill.fallback import Ask, Fallback, scenarios
from release.drill.provider_faults import Fault, Provider, StandIn

REQUESTS = 5
LIMIT_S = 30.0
REST_S = 60.0
_PROVIDER = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,63})=(\d{1,5})=(https?://\S+)")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--provider",
        metavar="NAME=PORT=URL",
        action="append",
        required=True,
        help="a provider in the chain's order: a stand-in listens on PORT and passes requests on to URL",
    )
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--probe", metavar="URL", help="a user's request: an answer of 2xx with a body is a success")
    asked.add_argument("--command", metavar="COMMAND", help="a user's request: exit code 0 is a success")
    parser.add_argument("--body", help="the body of the request, as JSON; makes a POST of it")
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"requests per fault (default: {REQUESTS})")
    parser.add_argument(
        "--limit", metavar="SECONDS", type=float, default=LIMIT_S, help=f"the longest request (default: {LIMIT_S:g})"
    )
    parser.add_argument(
        "--rest",
        metavar="SECONDS",
        type=float,
        default=REST_S,
        help=f"how long the service leaves a provider alone that failed, at most (default: {REST_S:g})",
    )
    parser.add_argument("--local", action="store_true", help="the service answers itself where every provider fails")
    parser.add_argument(
        "--fault",
        action="append",
        choices=[fault.value for fault in Fault],
        metavar="FAULT",
        help=f"inject only this fault; may be repeated: {', '.join(Fault)}",
    )


async def rehearse(args: argparse.Namespace, asked: Asked) -> Rehearsal:
    """Break the first provider, the first two, and so on, with each fault."""
    chain = [_provider(given) for given in args.provider]
    names = [one.name for one in chain]
    if len(chain) < 2 and not args.local:
        raise UsageError("a chain has two providers at least: write --provider again, or --local")
    if len(set(names)) != len(names) or args.requests < 1:
        raise UsageError("write another NAME for each provider, and at least 1 after --requests")
    faults = tuple(Fault(one) for one in args.fault) if args.fault else tuple(Fault)
    planned = scenarios(names, faults, local=args.local)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http, _started(chain, http) as found:
        fallback = Fallback(
            stand_ins=found,
            planned=planned,
            ask=_asking(args, http),
            requests=args.requests,
            limit_s=args.limit,
            rest_s=args.rest,
            answers={},
        )
        outcome = await run(fallback.experiment(), asked.told)
    good = sum(not one.failed for one in fallback.answers.values())
    return asked.about.rehearsal(
        ok=outcome.ok,
        runs=len(planned),
        succeeded=good,
        faults=tuple(fault.value for fault in faults),
        legs=outcome.legs,
        why=outcome.why,
    )


def _provider(given: str) -> Provider:
    match = _PROVIDER.fullmatch(given)
    if match is None:
        raise UsageError(f"--provider {given}: write NAME=PORT=URL, such as first=9101=https://api.example.org")
    return Provider(name=match[1], port=int(match[2]), url=match[3].rstrip("/"))


@contextlib.asynccontextmanager
async def _started(chain: Sequence[Provider], http: aiohttp.ClientSession) -> AsyncIterator[Mapping[str, StandIn]]:
    found = {one.name: StandIn(one, http) for one in chain}
    async with contextlib.AsyncExitStack() as stack:
        for stand_in in found.values():
            stack.push_async_callback(stand_in.stop)
            await stand_in.start()
        yield found


def _asking(args: argparse.Namespace, http: aiohttp.ClientSession) -> Ask:
    """A user's request, by HTTP or by a command."""

    async def by_http() -> None:
        headers = {"Content-Type": "application/json"} if args.body is not None else {}
        try:
            async with http.request(
                "GET" if args.body is None else "POST",
                args.probe,
                data=args.body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=args.limit),
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DrillError(plain(f"{type(error).__name__} {error}", 200)) from error
        if not 200 <= answer.status < 300 or not body:
            raise DrillError(plain(f"answered {answer.status}: {body[:150].decode(errors='replace')}", 200))

    async def by_command() -> None:
        env = child_environment({}, {})
        answer = await run_command(shlex.split(args.command), timeout_s=args.limit, env=env)
        if not answer.ok:
            raise DrillError(plain(answer.why, 200))

    return by_http if args.command is None else by_command
