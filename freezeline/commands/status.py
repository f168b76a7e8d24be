"""`freezeline status`: frozen services with their reasons, open episodes, and running actions."""

from __future__ import annotations

import argparse
import json
from typing import Any

from freezeline.problems import printable
from freezeline.remote import RemoteError, add_options, failed, remote

FINAL = {"SUCCEEDED", "CANCELLED", "SKIPPED"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Show which services are frozen and why, which episodes are open, and which actions are running."
    )
    parser.epilog = "Example: freezeline status --state /var/lib/freezeline"
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print the state as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the state."""
    try:
        state = remote(args, "read").get("/api/v1/state")
    except RemoteError as error:
        return failed("status", error)
    print(json.dumps(state) if args.json else "\n".join(lines(state)))
    return 0


def lines(state: dict[str, Any]) -> list[str]:
    """The state for people. Control characters in labels are escaped."""
    shown = []
    for service in state["services"]:
        name = printable(service["service"])
        if not service["frozen"]:
            shown.append(f"{name}: not frozen")
            continue
        acknowledged = service["acknowledged_by"]
        by = f", acknowledged by {printable(acknowledged)}" if acknowledged else ""
        shown.append(f"{name}: FROZEN since {service['since']}{by}")
        shown += [f"  because {printable(reason['reason'])} ({reason['episode']})" for reason in service["reasons"]]
        shown += [f"  flag {printable(flag)}" for flag in service["flags"]]
    for rollout in state.get("rollouts", ()):
        if rollout["running"]:
            what = printable(f"{rollout['service']}: rollout of {rollout['release']}")
            share = f"{rollout['traffic']['configured_percentage']:g} % of the traffic"
            shown.append(f"{what}: {rollout['phase']}, stage {rollout['stage']}, {share}")
            shown += [f"  held because {printable(why)}" for why in rollout["holds"].values()]
    for episode in state["episodes"]:
        rule = printable(f"{episode['policy']}/{episode['rule']}")
        shown.append(f"episode {episode['id']}: {printable(episode['alert'])} {episode['state']} by {rule}")
    for action in state["actions"]:
        if action["type"] != "notify" or action["state"] not in FINAL:
            what = printable(f"{action['type']} {action['name']} of {action['service']}")
            said = printable(str(action["result"].get("sentence") or action["result"].get("error") or ""))
            shown.append(f"action {action['id']}: {what}: {action['state']}{f' ({said})' if said else ''}")
    if state["dead_letters"]:
        shown.append(f"{len(state['dead_letters'])} notices could not be delivered: run `freezeline dlq`")
    return shown or ["no policies, and no service is frozen"]
