"""Starts the vendors' stand-ins."""

import argparse
import asyncio
import sys

from examples.workload.embedding import load
from examples.workload.providers.app import Providers
from examples.workload.serving import serve


def main() -> int:
    """Serve until TERM."""
    parser = argparse.ArgumentParser(prog="python -m examples.workload.providers", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    model = load()
    providers = Providers(lambda texts: [[float(value) for value in row] for row in model.embed(texts)])
    asyncio.run(serve(providers.app(), args.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
