"""Runs the proofs of specs with a real promtool, and measures when each alert fires and resets."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

from msgspec import Struct, field

from generator import pipeline
from generator.model.burn import Tier, consumed_label
from generator.model.spec import OutputSet, PlainAlert, Slo, Spec
from generator.prometheus.promtool import Message, Tool
from generator.proofs import file as proofs
from generator.proofs import plain_proofs
from generator.proofs.file import ProofFile, Proofs
from generator.proofs.model import Subject
from generator.proofs.stage import SloSubjects
from generator.render.rules.shared import NO_DATA_FOR_MS
from generator.units import decimal_text, duration_text, promql_number

_GOT = re.compile(r"got: \{\} ([-+0-9.eE]+)")
_MEASURES = ("max(min_over_time(timestamp(", "max(max_over_time(timestamp(")


class Measured(Struct, frozen=True, kw_only=True):
    """One time: the error level (`100 %`), the measured time, and its limit. None: the alert never changed."""

    level: str
    took_ms: int | None
    promised_ms: int

    def text(self) -> str:
        """`100 %: 1m30s (≤ 2m)`."""
        took = "never" if self.took_ms is None else duration_text(self.took_ms)
        return f"{self.level}: {took} (≤ {duration_text(self.promised_ms)})"


class Row(Struct, kw_only=True):
    """What the proofs showed about one alert."""

    spec: str
    alert: str
    fires_when: str
    detected: list[Measured] = field(default_factory=list)
    resets: list[Measured] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """The row for `--json`; times in seconds."""
        return {
            "spec": self.spec,
            "alert": self.alert,
            "fires_when": self.fires_when,
            "detected_after": [_measured_json(measured) for measured in self.detected],
            "resets_after": [_measured_json(measured) for measured in self.resets],
            "silent_when": self.silent,
            "failures": self.failures,
            "not_proven": self.gaps,
        }


def _measured_json(measured: Measured) -> dict[str, object]:
    took_s = None if measured.took_ms is None else measured.took_ms / 1000
    return {"level": measured.level, "seconds": took_s, "promised_seconds": measured.promised_ms / 1000}


def run(
    output_set: OutputSet,
    tool: Tool,
    folder: Path,
    *,
    at_once: int = 2,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Row]:
    """Prove every alert of the set, working in an empty folder. `progress` gets (test files run, all test files).

    Raises ToolError, OSError.
    """
    rendered = pipeline.render_set(output_set, ("rules",))
    for path, data in rendered.outputs.items():
        _put(folder / path, data)
    made = [proofs.render(spec, output_set.scope) for spec in output_set.specs]
    total = sum(len(_tested(one, tool)) for one in made)
    done = itertools.count(1)
    rows: list[Row] = []
    for spec, one in zip(output_set.specs, made, strict=True):
        messages = _messages(one, tool, folder, at_once, lambda: progress(next(done), total))
        rows += _spec_rows(spec, output_set.scope, one, messages)
    return rows


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _tested(made: Proofs, tool: Tool) -> list[ProofFile]:
    return [file for file in made.files if file.tests and _can_run(file, tool)]


def _messages(
    made: Proofs, tool: Tool, folder: Path, at_once: int, ran: Callable[[], None]
) -> dict[str, Sequence[Message]]:
    """What promtool says about each test file; these test files also ask for measurements. `ran` hears of each."""
    for file in made.files:
        _put(folder / file.path, (file.measuring_text() if file.tests else file.text).encode())
    tested = _tested(made, tool)
    messages: dict[str, Sequence[Message]] = {}
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        outcomes = pool.map(lambda file: tool.test_rules([Path(file.path)], folder), tested)
        for file, outcome in zip(tested, outcomes, strict=True):
            messages[file.path] = outcome.messages
            ran()
    return messages


# -- reading the answers


def _spec_rows(spec: Spec, scope: str, made: Proofs, messages: Mapping[str, Sequence[Message]]) -> list[Row]:
    rows = {
        subject.firing: Row(spec=spec.name, alert=subject.title, fires_when=text)
        for subject, text in _subjects(spec, scope)
    }
    for file in made.files:
        for test in file.tests if file.path in messages else ():
            for fact in test.facts:
                row = rows[fact.subject.firing]
                row.silent += [fact.text] if fact.text not in row.silent else []
        if file.path in messages:
            _read(file, messages[file.path], rows)
        else:
            _note_not_run(file, rows)
    for gap in (*made.gaps, *made.intended):
        rows[gap.subject.firing].gaps.append(f"{gap.what}: {gap.reason}")
    return list(rows.values())


def _can_run(file: ProofFile, tool: Tool) -> bool:
    return not file.needs_newer or tool.version >= proofs.NEWER_SINCE


def _note_not_run(file: ProofFile, rows: Mapping[str, Row]) -> None:
    reason = f"{file.needs_newer} need promtool {proofs.NEWER_SINCE[0]}"
    for firing in dict.fromkeys(check.subject.firing for test in file.tests for check in test.checks):
        row = rows[firing]
        row.gaps += [] if reason in row.gaps else [reason]


def _read(file: ProofFile, messages: Sequence[Message], rows: Mapping[str, Row]) -> None:
    # promtool does not name the test, but answers in the order of the file
    answers: dict[str, list[str]] = {}
    for message in messages:
        text = message.text.replace('\\"', '"')
        expression = text.removeprefix('expr: "').partition('", time: ')
        if expression[0].startswith(_MEASURES):
            answers.setdefault(expression[0] + expression[2].partition(" ")[0], []).append(text)
        else:
            _note_failure(text, rows, file)
    for test in file.tests:
        for span in test.spans:
            wanted = proofs.measurement(span, file.interval_ms)
            own = answers.get(f"{wanted['expr']}{wanted['eval_time']}")
            found = _GOT.search(own.pop(0)) if own else None
            row = rows[span.subject.firing]
            took_ms = int(Decimal(found[1]) * 1000) - span.from_ms if found else None
            if took_ms is not None and span.what == "reset":
                took_ms += file.interval_ms
            measured = Measured(level=span.level, took_ms=took_ms, promised_ms=span.promised_ms)
            (row.detected if span.what == "detected" else row.resets).append(measured)


def _note_failure(text: str, rows: Mapping[str, Row], file: ProofFile) -> None:
    """Add a failure to the alert of the message; to all alerts of the file if the message names none."""
    own = [firing for firing in rows if firing in text]
    concerned = own or list(dict.fromkeys(check.subject.firing for test in file.tests for check in test.checks))
    for firing in concerned:
        rows[firing].failures.append(text)


# -- words


def _subjects(spec: Spec, scope: str) -> Iterable[tuple[Subject, str]]:
    """Every alert of the spec, with the condition on which it fires."""
    for alert in spec.alerts:
        yield plain_proofs.subject_of(spec, alert), _plain_text(alert)
    subjects = SloSubjects(spec=spec, scope=scope)
    for slo in spec.slos:
        for tier in slo.profile.tiers:
            yield subjects.tier(slo, tier), _tier_text(slo, tier)
        for share in slo.profile.consumed:
            gone = f"{consumed_label(share)} % of the error budget over {slo.profile.window} is consumed"
            yield subjects.consumed(slo, share), gone
        yield subjects.no_data(slo), f"nothing was measured for {duration_text(NO_DATA_FOR_MS)}"


def _plain_text(alert: PlainAlert) -> str:
    text = alert.condition.describe()
    if alert.consecutive > 1:
        text += f", {alert.consecutive} times in a row"
    return text + (f", for {duration_text(alert.for_ms)}" if alert.for_ms else "")


def _tier_text(slo: Slo, tier: Tier) -> str:
    limit = tier.factor * 100
    exact = promql_number(limit * slo.budget_ratio.as_integer_ratio()[0] / slo.budget_ratio.as_integer_ratio()[1])
    windows = f"over {duration_text(tier.long_ms)} and {duration_text(tier.short_ms)}"
    factor = promql_number(tier.factor)
    return f"error ratio > {exact} % {windows} ({factor} × the budget of {decimal_text(slo.budget_ratio * 100)} %)"
