"""Starts one assistant. Its release comes from the variable ASSISTANT_RELEASE."""

import argparse
import asyncio
import hashlib
import os
import sys
import threading
from collections.abc import Coroutine, Iterable
from pathlib import Path

from examples.workload.assistant.app import PATHS, Assistant
from examples.workload.assistant.ensemble import mixed_up, train
from examples.workload.assistant.logs import configure
from examples.workload.assistant.metrics import Metrics
from examples.workload.assistant.quality import table
from examples.workload.assistant.ratings import load
from examples.workload.assistant.releases import MEBIBYTE, release
from examples.workload.assistant.replay import replay
from examples.workload.assistant.sessions import Sessions
from examples.workload.serving import serve

BURNERS = 2
"""Threads of the release `busy`. One alone reaches the canary's limit only where nobody else needs the processor."""


def main() -> int:
    """Print the accuracy, or serve until TERM."""
    args = _arguments()
    ratings = load(args.ratings)
    good = train(ratings)
    if args.accuracy:
        print(table(good, ratings.source))
        return 0
    try:
        chosen = release(os.environ.get("ASSISTANT_RELEASE", "good"))
    except ValueError as error:
        print(f"assistant: ASSISTANT_RELEASE: {error}", file=sys.stderr)
        return 2
    level = os.environ.get("ASSISTANT_LOG_LEVEL", "INFO").upper()
    configure("assistant", level, track=args.track, release=chosen.name)
    model = mixed_up(good) if chosen.wrong_model else good
    memory_limit_bytes = args.memory_limit_mib * MEBIBYTE
    metrics = Metrics(PATHS, memory_limit_bytes=memory_limit_bytes, processors=args.processor_limit)
    sessions = Sessions(args.redis)
    assistant = Assistant(ratings=ratings, model=model, sessions=sessions, metrics=metrics, release=chosen)
    if chosen.burns_cpu:
        for _ in range(BURNERS):
            threading.Thread(target=_burn, daemon=True).start()
    replaying = replay(model, good, metrics, per_second=args.replay_per_second)
    asyncio.run(_run(assistant, args.port, (replaying, _sample(metrics))))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.workload.assistant", description=__doc__)
    parser.add_argument("--track", default="control", help="control or treatment: stands in every log line")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0")
    parser.add_argument("--ratings", type=Path, help="MovieLens, as `python -m devtools.movielens` wrote it")
    parser.add_argument("--replay-per-second", type=float, default=10.0, help="test users served each second")
    parser.add_argument("--memory-limit-mib", type=int, default=512)
    parser.add_argument("--processor-limit", type=float, default=1.0, help="processors of the container (default: 1)")
    parser.add_argument("--accuracy", action="store_true", help="print the top-2 accuracy and end")
    return parser.parse_args()


def _burn() -> None:
    """Use a processor. Hashing long input releases the interpreter lock, so answers stay quick."""
    block = b"x" * (16 * MEBIBYTE)
    while True:
        hashlib.sha256(block).digest()


async def _run(assistant: Assistant, port: int, background: Iterable[Coroutine[None, None, None]]) -> None:
    try:
        await serve(assistant.app(), port, background)
    finally:
        await assistant.close()


async def _sample(metrics: Metrics) -> None:
    while True:
        metrics.sample_processor()
        await asyncio.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
