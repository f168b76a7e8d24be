"""The header `traceparent` of W3C Trace Context (https://www.w3.org/TR/trace-context/), and names of spans. Pure."""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

_HEADER = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_TRACE = re.compile(r"(?!0{32})[0-9a-f]{32}")
SPAN_DIGITS = 16
_SPAN_AT_END = re.compile(rf"[0-9a-f]{{16}}(?!0{{16}})[0-9a-f]{{{SPAN_DIGITS}}}")


class Parent(Struct, frozen=True, kw_only=True):
    """The sender's trace and span, as hexadecimal digits."""

    trace_id: str
    span_id: str


def parse(text: str) -> Parent | None:
    """The sender's trace and span; None if the header is missing or invalid. Later versions may have more fields."""
    found = _HEADER.fullmatch(text.strip())
    if found is None or (found[1] == "00" and found[5]):
        return None
    return Parent(trace_id=found[2], span_id=found[3])


def header(trace_id: str, request_id: str) -> str:
    """The header for a request of a trace: version 00, sampled."""
    return f"00-{trace_of(trace_id)}-{span_of(request_id)}-01"


def trace_of(identifier: str) -> str:
    """The identifier of a trace, if it is 32 hexadecimal digits; else digits that always follow from it."""
    if _TRACE.fullmatch(identifier):
        return identifier
    return hashlib.sha256(f"trace {identifier}".encode()).hexdigest()[:32]


def span_of(identifier: str) -> str:
    """The span of a request, episode or action: the end of 32 hexadecimal digits, else digits that always follow."""
    if _SPAN_AT_END.fullmatch(identifier):
        return identifier[-SPAN_DIGITS:]
    return hashlib.sha256(f"span {identifier}".encode()).hexdigest()[:SPAN_DIGITS]
