"""Nineteen types of errors, and what follows each."""

import re
import sqlite3

import httpx2
import pytest
from anthropic import APIStatusError as AnthropicStatusError
from openai import APIConnectionError, APITimeoutError
from openai import APIStatusError as OpenAiStatusError
from redis.exceptions import ConnectionError as RedisConnectionError

from examples.workload.generation.errors import DELAYS_S, POLICIES, ErrorType, JobError, Then, classify, decide
from tests.tools import ROOT


def test_every_type_has_a_policy_and_a_row_in_the_docs() -> None:
    """docs/workload.md lists the types with what follows."""
    assert len(ErrorType) == len(POLICIES) == 19
    text = (ROOT / "docs" / "workload.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE))
    for name, policy in POLICIES.items():
        then = {
            Then.RETRY: f"retry, at most {policy.retries}",
            Then.RETRY_WHEN_TOLD: f"retry when the server says, at most {policy.retries}",
            Then.WAIT: "wait, uses up no retry",
            Then.DEAD_LETTER: "dead letter at once",
            Then.END: "the job ends",
        }[policy.then]
        assert rows.get(name.value) == then, name


def test_retries_come_after_1_5_25_and_125_seconds() -> None:
    """Then the job is a dead letter."""
    error = JobError(ErrorType.TIMEOUT, "slow")
    assert [decide(error, done).after_s for done in range(4)] == list(DELAYS_S) == [1, 5, 25, 125]
    assert [decide(error, done).then for done in range(5)] == [Then.RETRY] * 4 + [Then.DEAD_LETTER]


def test_a_server_that_says_when_is_believed() -> None:
    """But nobody is asked earlier than usual."""
    assert decide(JobError(ErrorType.RATE_LIMITED, "", wait_s=60), 0).after_s == 60
    assert decide(JobError(ErrorType.RATE_LIMITED, "", wait_s=2), 1).after_s == 5
    assert decide(JobError(ErrorType.RATE_LIMITED, ""), 2).after_s == 25


def test_our_own_limit_uses_up_no_retry() -> None:
    """However often it is met."""
    decision = decide(JobError(ErrorType.OWN_RATE_LIMIT, "", wait_s=7), 4)
    assert (decision.then, decision.after_s, decision.counts) == (Then.WAIT, 7, False)


@pytest.mark.parametrize("name", [name for name, one in POLICIES.items() if one.then is Then.DEAD_LETTER])
def test_what_cannot_mend_itself_is_not_tried_again(name: ErrorType) -> None:
    """A person must look."""
    assert decide(JobError(name, ""), 0).then is Then.DEAD_LETTER


def status(code: int, body: object = None, **headers: str) -> tuple[OpenAiStatusError, AnthropicStatusError]:
    """What both vendors' clients raise for a status."""
    request = httpx2.Request("POST", "http://127.0.0.1/")
    response = httpx2.Response(code, headers=headers, request=request)
    return (
        OpenAiStatusError("m", response=response, body=body),
        AnthropicStatusError("m", response=response, body=body),
    )


@pytest.mark.parametrize(
    "code,body,expected",
    [
        (401, None, ErrorType.UNAUTHORIZED),
        (403, None, ErrorType.UNAUTHORIZED),
        (404, None, ErrorType.MODEL_NOT_FOUND),
        (429, None, ErrorType.RATE_LIMITED),
        (500, None, ErrorType.PROVIDER_ERROR),
        (503, None, ErrorType.PROVIDER_OVERLOADED),
        (529, None, ErrorType.PROVIDER_OVERLOADED),
        (400, {"code": "context_length_exceeded"}, ErrorType.CONTEXT_TOO_LONG),
        (400, {"error": {"code": "content_filter"}}, ErrorType.CONTENT_FILTERED),
        (400, {"error": {"type": "invalid_request_error"}}, ErrorType.VALIDATION),
        (422, None, ErrorType.VALIDATION),
    ],
)
def test_statuses_of_vendors(code: int, body: object, expected: ErrorType) -> None:
    """Both clients alike."""
    assert [classify(error).type for error in status(code, body)] == [expected, expected]


def test_retry_after_is_read() -> None:
    """In seconds; a date is left to the usual delay."""
    assert [classify(error).wait_s for error in status(429, **{"Retry-After": "12"})] == [12, 12]
    assert [classify(error).wait_s for error in status(429, **{"Retry-After": "Wed, 21 Oct 2026"})] == [0, 0]


@pytest.mark.parametrize(
    "error,expected",
    [
        (APITimeoutError(httpx2.Request("POST", "http://127.0.0.1/")), ErrorType.TIMEOUT),
        (APIConnectionError(request=httpx2.Request("POST", "http://127.0.0.1/")), ErrorType.NETWORK_UNREACHABLE),
        (TimeoutError(), ErrorType.TIMEOUT),
        (ConnectionResetError(), ErrorType.CONNECTION_RESET),
        (ConnectionRefusedError(), ErrorType.NETWORK_UNREACHABLE),
        (RedisConnectionError(), ErrorType.NETWORK_UNREACHABLE),
        (httpx2.RemoteProtocolError("cut"), ErrorType.STREAM_CUT),
        (ValueError("no JSON"), ErrorType.INVALID_ANSWER),
        (sqlite3.OperationalError("database is locked"), ErrorType.STORE_BUSY),
        (sqlite3.OperationalError("database or disk is full"), ErrorType.STORE_FULL),
        (KeyError("x"), ErrorType.UNKNOWN),
        (JobError(ErrorType.EMBEDDING_MISMATCH, "x"), ErrorType.EMBEDDING_MISMATCH),
    ],
)
def test_other_exceptions(error: Exception, expected: ErrorType) -> None:
    """Of the network, of Redis, of SQLite, of parsers."""
    assert classify(error).type is expected
