"""Starts the API or the durable worker of the generation service."""

import argparse
import asyncio
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from aiohttp import web
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from examples.workload.assistant.logs import configure
from examples.workload.embedding import load
from examples.workload.generation.app import Api
from examples.workload.generation.chain import Anthropic, Chain, OpenAi, add_options, vendors
from examples.workload.generation.corpus import Corpus, pieces
from examples.workload.generation.environment import Environment
from examples.workload.generation.flags import Flags
from examples.workload.generation.limiter import Limiter
from examples.workload.generation.metrics import WorkMetrics, page
from examples.workload.generation.queue import Queue
from examples.workload.generation.work import Embedder, Memory, Work
from examples.workload.generation.worker import Worker
from examples.workload.serving import serve

CHECKOUT = Path(__file__).resolve().parents[3]
TOKENS = 200_000
"""What the context memory may hold."""


def main() -> int:
    """Serve until TERM."""
    args = _arguments()
    fault = os.environ.get("GENERATION_FAULT", "")
    if fault not in {"", "keeps-context", "drops-streams"}:
        print("generation: GENERATION_FAULT is keeps-context or drops-streams", file=sys.stderr)
        return 2
    configure("generation", os.environ.get("GENERATION_LOG_LEVEL", "INFO").upper(), process=args.process)
    asyncio.run(_run(args, fault))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.workload.generation", description=__doc__)
    parser.add_argument("process", choices=["api", "worker"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--queue", type=Path, required=True, help="the SQLite file; both processes share it")
    parser.add_argument("--redis", required=True)
    add_options(parser)
    parser.add_argument("--corpus", type=Path, default=CHECKOUT / "docs")
    parser.add_argument("--flags", type=Path, help="flagd's file with the flag provider_fallback")
    parser.add_argument("--environment", type=Path, help="lines NAME=VALUE, read anew each time")
    parser.add_argument("--scratch", type=Path, help="folder for temporary files; one process alone uses it")
    return parser.parse_args()


async def _run(args: argparse.Namespace, fault: str) -> None:
    registry, environment, queue = CollectorRegistry(), Environment(args.environment), Queue(args.queue)
    redis = Redis.from_url(args.redis)
    metrics = WorkMetrics(registry)
    embedder = Embedder(args.providers, Limiter(redis), metrics)
    asked = vendors(args)
    work = _work(args, fault, embedder, asked, metrics)
    durable = args.process == "worker"
    worker = Worker(queue, work.do, name=args.process, enabled=lambda: environment.durable_worker is durable)
    if durable:
        app = web.Application()

        async def metrics_page(_request: web.Request) -> web.StreamResponse:
            return web.Response(body=page(registry), headers={"Content-Type": "text/plain; version=0.0.4"})

        app.add_routes([web.get("/metrics", metrics_page)])
    else:
        api = Api(
            queue=queue,
            flags=Flags(args.flags),
            environment=environment,
            registry=registry,
            drops_streams=fault == "drops-streams",
        )
        app = api.app()
    try:
        await serve(app, args.port, [worker.run()])
    finally:
        for one in (embedder, *asked):
            await one.close()
        await redis.aclose()
        queue.close()


def _work(
    args: argparse.Namespace, fault: str, embedder: Embedder, asked: list[OpenAi | Anthropic], metrics: WorkMetrics
) -> Work:
    model, texts = load(), pieces(args.corpus)
    corpus = Corpus(pieces=texts, vectors=np.asarray(model.embed(list(texts))))
    scratch = args.scratch or args.queue.parent / f"scratch-{args.process}"
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed process left
    scratch.mkdir()
    chain = Chain(list(asked), lambda vendor, error: metrics.provider_failures.labels(vendor, error.type.value).inc())
    memory = Memory(model.tokens, TOKENS, forgets=fault != "keeps-context")
    return Work(corpus=corpus, embedder=embedder, chain=chain, memory=memory, metrics=metrics, scratch=scratch)


if __name__ == "__main__":
    sys.exit(main())
