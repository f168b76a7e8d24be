"""Starts one version of the script generation."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from examples.workload.assistant.logs import configure
from examples.workload.generation.chain import Anthropic, Chain, OpenAi, add_options, vendors
from examples.workload.generation.errors import JobError
from examples.workload.generation.flags import Flags
from examples.workload.scripts.app import Fault, Scripts
from examples.workload.serving import serve


def main() -> int:
    """Serve until TERM."""
    parser = argparse.ArgumentParser(prog="python -m examples.workload.scripts", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--version", default="v1")
    add_options(parser)
    parser.add_argument("--flags", type=Path, help="flagd's file with the flag provider_fallback")
    args = parser.parse_args()
    try:
        fault = Fault(os.environ.get("SCRIPTS_FAULT", "none"))
    except ValueError:
        print(f"scripts: SCRIPTS_FAULT is one of {', '.join(Fault)}", file=sys.stderr)
        return 2
    configure("script-generation", os.environ.get("SCRIPTS_LOG_LEVEL", "INFO").upper(), version=args.version)
    asked = vendors(args)
    chain = Chain(list(asked), _failed)
    scripts = Scripts(version=args.version, chain=chain, flags=Flags(args.flags), fault=fault)
    asyncio.run(_run(scripts, asked, args.port))
    return 0


def _failed(vendor: str, error: JobError) -> None:
    fields = {"provider": vendor, "error_type": error.type.value}
    logging.getLogger("generation").warning("a vendor failed", extra={"fields": fields})


async def _run(scripts: Scripts, asked: list[OpenAi | Anthropic], port: int) -> None:
    try:
        await serve(scripts.app(), port)
    finally:
        for one in asked:
            await one.close()


if __name__ == "__main__":
    sys.exit(main())
