"""The report as text, Markdown, JSON, or JUnit's XML."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from freezeline.problems import printable
from release.gate.answer import Finding, Report, Verdict

MARKS = {Verdict.GO: "ok", Verdict.NO_GO: "NO", Verdict.CANNOT_TELL: "??"}


def text(report: Report) -> str:
    """For people: the verdict, then a line for each check."""
    width = max((len(one.id) for one in report.findings), default=0)
    lines = [f"{report.verdict.value}: {printable(report.service)}"]
    for one in report.findings:
        optional = " (optional)" if one.id in report.optional else ""
        lines.append(f"  {MARKS[one.verdict]}  {one.id:<{width}}  {printable(one.reason)}{optional}")
    return "\n".join(lines) + "\n"


def markdown(report: Report) -> str:
    """A heading and a table, for `$GITHUB_STEP_SUMMARY` and for chats."""
    rows = [
        f"| {cell(one.id)} | {one.verdict.value} | {cell(one.reason)} | {cell(one.value)} | {cell(one.threshold)} |"
        for one in report.findings
    ]
    head = [
        f"## {report.verdict.value}: {cell(report.service)}",
        "",
        f"Asked at {report.at}.",
        "",
        "| check | verdict | reason | value | limit |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows]) + "\n"


def cell(value: str) -> str:
    """Text that neither ends a cell nor begins HTML or a link."""
    escaped = printable(value).replace("\\", "\\\\")
    for mark in "|<>[]`*_":
        escaped = escaped.replace(mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark])
    return escaped


def as_json(report: Report) -> str:
    """For machines: the members are a contract."""
    return (
        json.dumps(
            {
                "verdict": report.verdict.value,
                "service": report.service,
                "at": report.at,
                "checks": [_member(one, report) for one in report.findings],
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )


def _member(one: Finding, report: Report) -> dict[str, object]:
    found: dict[str, object] = {
        "id": one.id,
        "verdict": one.verdict.value,
        "value": one.value,
        "threshold": one.threshold,
        "reason": one.reason,
        "source": one.source,
    }
    return found | ({"optional": True} if one.id in report.optional else {})


def junit(report: Report) -> str:
    """JUnit's XML: NO_GO is a failure, CANNOT_TELL an error; an optional check that cannot tell is skipped."""
    suite = ET.Element("testsuite", name=f"freezeline gate {printable(report.service)}", timestamp=report.at)
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for one in report.findings:
        case = ET.SubElement(suite, "testcase", classname="freezeline.gate", name=one.id)
        kind = {Verdict.NO_GO: "failure", Verdict.CANNOT_TELL: "error"}.get(one.verdict)
        if one.id in report.optional:
            kind = "skipped"
        if kind is not None:
            counts[kind] += 1
            ET.SubElement(case, kind, message=printable(one.reason))
    suite.set("tests", str(len(report.findings)))
    suite.set("failures", str(counts["failure"]))
    suite.set("errors", str(counts["error"]))
    suite.set("skipped", str(counts["skipped"]))
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


FORMATS = {"text": text, "markdown": markdown, "json": as_json, "junit": junit}
