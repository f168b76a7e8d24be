"""The assistant as a process with a real Redis: its API, its metrics, its health."""

import contextlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools import ROOT
from tests.waiting import wait_until
from tests.workload import Redis, Service, assistant, redis_server

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("workload")]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One Redis for this file."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def good(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The good release."""
    with assistant(tmp_path_factory.mktemp("good"), redis) as service:
        yield service


def ask(service: Service, path: str, body: dict[str, Any] | None = None, **headers: str) -> tuple[int, Any, Any]:
    """Status, answer and headers of a request; a body makes it a POST."""
    data = None if body is None else json.dumps(body).encode()
    wanted = urllib.request.Request(f"{service.url}{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(wanted, timeout=10) as answer:
            text, status, found = answer.read().decode(), answer.status, answer.headers
    except urllib.error.HTTPError as error:
        text, status, found = error.read().decode(), error.code, error.headers
    return status, json.loads(text) if found.get_content_type() == "application/json" else text, found


def test_ten_recommendations_with_their_parts(good: Service) -> None:
    """The best first; what each part adds is shown; the second time, they come from memory."""
    status, answer, _ = ask(good, "/api/v2/recommendations", {"user_id": 5})
    films = answer["recommendations"]
    assert (status, answer["user_id"], len(films)) == (200, 5, 10)
    for film in films:
        parts = film["parts"]
        total = 0.4 * parts["collaborative"] + 0.4 * parts["content"] + 0.2 * parts["persona"]
        assert film["score"] == pytest.approx(total, abs=1e-3)
    assert [film["score"] for film in films] == sorted((film["score"] for film in films), reverse=True)
    hits = good.metrics()["cache_hits_total"]
    assert ask(good, "/api/v2/recommendations", {"user_id": 5})[1] == answer
    assert good.metrics()["cache_hits_total"] == hits + 1


@pytest.mark.parametrize(
    "path,body,status",
    [
        ("recommendations", {"user_id": 10**6}, 404),
        ("recommendations", {"user": 5}, 422),
        ("recommendations", {"user_id": 5, "top": 0}, 422),
        ("chat", {"message": ""}, 422),
        ("chat", {"message": "x" * 501}, 422),
    ],
)
def test_bad_requests_are_named(good: Service, path: str, body: dict[str, Any], status: int) -> None:
    """The caller's mistake is no failure of the service."""
    found, answer, _ = ask(good, f"/api/v2/{path}", body)
    assert (found, list(answer)) == (status, ["error"])


def test_a_session_keeps_its_history_for_a_day(good: Service, redis: Redis) -> None:
    """Messages in their order, less than a kilobyte each, gone after 24 hours."""
    session = ask(good, "/api/v2/chat", {"message": "a drama after 1990", "user_id": 5})[1]["session_id"]
    for text in ("more", "why?", "x" * 500):
        assert ask(good, "/api/v2/chat", {"message": text, "session_id": session})[0] == 200
    status, answer, _ = ask(good, f"/api/v2/session/{session}")
    assert (status, [one["role"] for one in answer["messages"]]) == (200, ["user", "assistant"] * 4)
    assert 24 * 3600 - 60 < answer["expires_in_s"] <= 24 * 3600
    assert int(redis.ask("MEMORY", "USAGE", f"session:{session}", "SAMPLES", "0")) / 8 < 1024
    assert ask(good, "/api/v2/session/unknown")[0] == 404


def test_a_chat_streams(good: Service) -> None:
    """Word by word as server-sent events; the last event holds the whole answer."""
    status, text, headers = ask(good, "/api/v2/chat", {"message": "a comedy"}, Accept="text/event-stream")
    assert (status, headers.get_content_type()) == (200, "text/event-stream")
    words = [json.loads(data) for data in re.findall(r"event: token\ndata: (.*)\n", text)]
    done = json.loads(re.findall(r"event: done\ndata: (.*)\n", text)[0])
    assert " ".join(words) == done["answer"]
    assert len(words) > 5


def test_ids_are_taken_returned_and_logged(good: Service) -> None:
    """Or made, where the caller gives none."""
    ids = {"X-Request-ID": "r-1", "X-Trace-ID": "t-1"}
    headers = ask(good, "/api/v2/recommendations", {"user_id": 1}, **ids)[2]
    assert (headers["X-Request-ID"], headers["X-Trace-ID"]) == ("r-1", "t-1")
    assert len(ask(good, "/api/v2/recommendations", {"user_id": 1})[2]["X-Request-ID"]) == 32
    lines = [json.loads(line) for line in good.log.read_text().splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line["request_id"] == "r-1"]
    assert (line["trace_id"], line["service"], line["level"], line["status"]) == ("t-1", "assistant", "INFO", 200)
    assert {"timestamp", "message", "duration_ms"} <= set(line)


def test_every_metric_of_the_shipped_spec_is_served(good: Service) -> None:
    """What rules, gates and panels of slos/assistant-phase4.yaml ask for exists from the start."""
    text = (ROOT / "slos" / "assistant-phase4.yaml").read_text()
    words = set(re.findall(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b", re.sub(r"#.*", "", text)))
    asked = {word for word in words if re.match(r"http_|recomm|multiturn|container|db_|cache|error_rate", word)}
    asked |= {"personality_router_latency_seconds_bucket", "session_count"}
    served = {name.partition("{")[0] for name in good.metrics()}
    served |= {name.removesuffix("_bucket") for name in served}
    assert len(asked) >= 14
    assert asked - served == set()


def test_health_names_every_dependency(good: Service) -> None:
    """What is not real says so."""
    status, answer, _ = ask(good, "/health")
    assert (status, answer["status"], answer["version"]) == (200, "healthy", "good")
    parts = {"database", "vertex_ai", "logging", "recommendation_engine", "session_manager", "memory", "disk"}
    assert set(answer["components"]) == parts
    ask(good, "/api/v2/recommendations", {"user_id": 1})
    answer = ask(good, "/health/detailed")[1]
    assert answer["components"]["vertex_ai"]["status"] == "simulated"
    assert "made by this program" in answer["components"]["recommendation_engine"]["detail"]
    assert answer["response_times"]["requests"] >= 1
    assert answer["response_times"]["p95_ms"] <= answer["response_times"]["max_ms"]


def test_without_redis_there_are_recommendations_but_no_chats(tmp_path: Path) -> None:
    """Health says which part is lacking; chats work again when Redis is back."""
    with contextlib.ExitStack() as stack:
        with redis_server(tmp_path) as redis:
            service = stack.enter_context(assistant(tmp_path, redis))
            assert ask(service, "/api/v2/chat", {"message": "a comedy"})[0] == 200
        assert ask(service, "/api/v2/chat", {"message": "a comedy"})[0] == 503
        assert ask(service, "/api/v2/recommendations", {"user_id": 1})[0] == 200
        answer = ask(service, "/health")[1]
        assert (answer["status"], answer["components"]["database"]) == ("degraded", "unhealthy")
        assert "session_count" in service.metrics()
        stack.enter_context(redis_server(tmp_path, redis.port))
        wait_until(lambda: ask(service, "/api/v2/chat", {"message": "a comedy"})[0] == 200, 10, "chats work again")
