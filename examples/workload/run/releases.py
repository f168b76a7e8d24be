"""How the releases of the services are started: each service's machines run what their files name."""

import sys
from pathlib import Path

from examples.workload.assistant.releases import release as assistant_release
from examples.workload.scripts.app import Fault
from freezeline.demo.programs import DemoError
from freezeline.demo.rollout.machines import Command, Commands

CHECKOUT = str(Path(__file__).resolve().parents[3])
FIRST = "good"


def assistant(*arguments: str) -> Commands:
    """The releases of the assistant, with its arguments."""

    def command(release: str) -> Command:
        try:
            assistant_release(release)
        except ValueError as error:
            raise DemoError(str(error)) from error
        return _command("assistant", *arguments, ASSISTANT_RELEASE=release)

    return command


def scripts(*arguments: str) -> Commands:
    """The releases of the script generation, with its arguments: `good`, `good-2` and so on, and one for each fault."""

    def command(release: str) -> Command:
        good = release == FIRST or release.startswith(f"{FIRST}-")
        try:
            fault = Fault.NONE if good else Fault(release)
        except ValueError:
            known = ", ".join(Fault)
            raise DemoError(f"there is no release {release}; use {known}, {FIRST} or {FIRST}-N") from None
        return _command("scripts", "--version", release, *arguments, SCRIPTS_FAULT=fault)

    return command


def _command(module: str, *arguments: str, **environment: str) -> Command:
    argv = [sys.executable, "-m", f"examples.workload.{module}", *arguments]
    return Command(argv=argv, environment={**environment, "PYTHONPATH": CHECKOUT})
