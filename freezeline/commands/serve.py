"""`freezeline serve`: run the receiver."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from receiver.serve import USAGE, Options, serve
from release.show.page import reported


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Run the receiver until SIGTERM. Alertmanager sends its webhooks to the receiver, which freezes services, "
        "rolls releases back and tells people."
    )
    parser.epilog = "Example: freezeline serve --policy policy/ --state /var/lib/freezeline"
    env = os.environ
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="DIR",
        default=env.get("FREEZELINE_POLICY"),
        help="the directory of *.policy.json files (also FREEZELINE_POLICY)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        default=env.get("FREEZELINE_STATE"),
        help="the directory for journal, tokens and runs (also FREEZELINE_STATE)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=env.get("FREEZELINE_CONFIG"),
        help="the path of receiver.yaml, with channels and settings (also FREEZELINE_CONFIG)",
    )
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default=env.get("FREEZELINE_LISTEN", "127.0.0.1:9099"),
        help="listen on this address; port 0 takes a free port (also FREEZELINE_LISTEN; default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM."""
    host, _, port = args.listen.rpartition(":")
    if args.policy is None or args.state is None:
        sys.stderr.write("freezeline serve: name the directories with --policy DIR and --state DIR\n")
        return USAGE
    if not host or not port.isdecimal() or int(port) > 65535:
        sys.stderr.write(f"freezeline serve: --listen takes HOST:PORT, not {args.listen!r}\n")
        return USAGE
    options = Options(
        policy_dir=Path(args.policy).absolute(),
        state_dir=Path(args.state).absolute(),
        config=Path(args.config).absolute() if args.config else None,
        host=host.strip("[]"),
        port=int(port),
    )
    return serve(options, os.environ, reporter=partial(reported, options.state_dir / "canary"))
