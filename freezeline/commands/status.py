"""`freezeline status`: frozen services with their reasons, open episodes, and running actions."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import Any

from freezeline.problems import printable
from freezeline.remote import RemoteError, add_options, failed, remote
from freezeline.terminal import Paint, painter, plain

FINAL = {"SUCCEEDED", "CANCELLED", "SKIPPED"}
BAD = "bold red"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Show which services are frozen and why, which episodes are open, and which actions are running."
    )
    parser.epilog = "Example: freezeline status"
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print the state as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the state."""
    try:
        state = remote(args, "read").get("/api/v1/state")
    except RemoteError as error:
        return failed("status", error)
    print(json.dumps(state) if args.json else "\n".join(lines(state, painter(sys.stdout))))
    return 0


def lines(state: dict[str, Any], paint: Paint = plain) -> list[str]:
    """The state for people. Control characters in labels are escaped."""
    shown = [f"{paint(BAD, 'PROBLEM')} {printable(problem)}" for problem in state["problems"]]
    for service in state["services"]:
        name = printable(service["service"])
        problems = [f"  {paint(BAD, 'PROBLEM')} {printable(problem)}" for problem in service["problems"]]
        if not service["frozen"]:
            shown += [f"{name}: {paint('green', 'not frozen')}", *problems]
            continue
        acknowledged = service["acknowledged_by"]
        by = f", acknowledged by {printable(acknowledged)}" if acknowledged else ""
        word = "FROZEN" if service["on_disk"] else "NOT FROZEN YET, although it must be,"
        shown += [f"{name}: {paint(BAD, word)} since {service['since']}{by}", *problems]
        for reason in service["reasons"]:
            shown += [f"  because {printable(reason['reason'])} ({reason['episode']})"]
            shown += [f"    {printable(_end(reason, service['service']))}"]
        more = service["reasons_total"] - len(service["reasons"])
        shown += [f"  and {more} more reasons"] if more > 0 else []
        shown += [f"  flag {printable(flag)}" for flag in service["flags"]]
        shown += [
            f"  host {printable(_host(host))}" for host in service.get("hosts", ()) if host["flag"] in service["flags"]
        ]
    for rollout in state.get("rollouts", ()):
        if rollout["running"]:
            what = printable(f"{rollout['service']}: rollout of {rollout['release']}")
            share = f"{rollout['traffic']['configured_percentage']:g} % of the traffic"
            shown.append(f"{what}: {rollout['phase']}, stage {rollout['stage']} of {rollout['stages']}, {share}")
            shown += [f"  waits for: {printable(one)}" for one in rollout["waits_for"]]
            shown += [f"  gate {printable(_gate(gate))}" for gate in rollout["gates"]]
    for episode in state["episodes"]:
        rule = printable(f"{episode['policy']}/{episode['rule']}")
        shown.append(f"episode {episode['id']}: {printable(episode['alert'])} {episode['state']} by {rule}")
    more = state["episodes_total"] - len(state["episodes"])
    shown += [f"and {more} more episodes"] if more > 0 else []
    for action in state["actions"]:
        if action["type"] != "notify" or action["state"] not in FINAL:
            what = printable(f"{action['type']} {action['name']} of {action['service']}")
            said = printable(str(action["result"].get("sentence") or action["result"].get("error") or ""))
            shown.append(f"action {action['id']}: {what}: {action['state']}{f' ({said})' if said else ''}")
    if state["dead_letters"]:
        shown.append(f"{len(state['dead_letters'])} notices could not be delivered: run `freezeline dlq`")
    return shown or ["no policies, and no service is frozen"]


def _host(host: dict[str, Any]) -> str:
    """What one host said of a flag."""
    state = "not frozen" if host["state"] == "unfrozen" else "frozen"
    error = f" ({host['error']})" if host["error"] else ""
    lost = f", last seen at {host['last_seen']}" if host["receiver"] == "lost" else ""
    stopped = ", its receiver was stopped" if host["receiver"] == "stopped" else ""
    return f"{host['host']}: {state} since {host['since']}{error}{lost}{stopped}"


def _gate(gate: dict[str, Any]) -> str:
    """One gate's last measurement."""
    value = gate["value_text"] or "no data"
    bound = f" (limit {gate['bound_text']})" if gate["bound_text"] else ""
    return f"{gate['gate']}: {gate['verdict']}: {value}{bound}" + (f", {gate['why']}" if gate["why"] else "")


def _end(reason: dict[str, Any], service: str) -> str:
    """What ends one reason of a freeze, and when."""
    if reason["firing"] is None:
        return f"ends when somebody runs {shlex.join(['freezeline', 'unfreeze', service, '--reason', '…'])}"
    if reason["firing"]:
        review = f"; the receiver looks again at {reason['review_at']}" if reason["review_at"] else ""
        return f"ends when: {reason['unfreeze_when']} (now the alert fires){review}"
    return f"ends at {reason['ends_at']} at the earliest, when: {reason['unfreeze_when']}"
