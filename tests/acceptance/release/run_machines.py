"""The two machines of a shop as a process: run_machines.py FOLDER STABLE_PORT CANARY_PORT PROGRAMS (JSON)."""

import asyncio
import json
import sys
from pathlib import Path

from freezeline.demo.lifetime import cancelled_by_signals, in_background
from freezeline.demo.rollout.acts import FIRST
from freezeline.demo.rollout.machines import machine
from freezeline.demo.rollout.servers import shop_releases


async def main(root: Path, stable: int, canary: int, programs: dict[str, list[str]]) -> None:
    """Run both until TERM."""
    commands, ports = shop_releases(programs), {"stable": stable, "canary": canary}
    machines = [machine(root, name, port, commands, release=FIRST) for name, port in ports.items()]
    with cancelled_by_signals():
        async with in_background(*(one.run() for one in machines)):
            await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])))
    except asyncio.CancelledError:
        sys.exit(0)
