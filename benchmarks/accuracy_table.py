"""The results of `budget_accuracy` in the documentation: kept in one file, written as tables between two comments."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.month_rules import fingerprint
from benchmarks.months import Case

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).with_name("accuracy.json")
FORMS = ("ours", "average", "raw")
README_CASES = ("night-incident", "outage-70m", "outage-26h", "one-an-hour", "users")
_BEGIN, _END = "<!-- ./dev bench budget_accuracy --write -->\n", "<!-- end -->"

# Form → relative error of the 30-day ratio, None where a form gives no number; `made_of` → the fingerprint of the case.
Result = Mapping[str, float | str | None]
Results = Mapping[str, Mapping[str, Result]]  # case → seed → result


def stored() -> Results:
    """The results as last measured."""
    found: Results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    return found


def merged(old: Results, seed: int, new: Mapping[str, Result]) -> Results:
    """The old results and those of one more run. Cases that are gone are dropped."""
    return {
        case.name: {**old.get(case.name, {}), **({str(seed): new[case.name]} if case.name in new else {})}
        for case in CASES
        if case.name in old or case.name in new
    }


def fresh(results: Results, case: Case) -> list[str]:
    """The seeds of a case whose result was made by the present rules, from the present month."""
    wanted = fingerprint(case)
    return [seed for seed, result in results.get(case.name, {}).items() if result.get("made_of") == wanted]


def error(result: Result, form: str) -> float:
    """The relative error of a form; NaN where the form gave no number. Raises TypeError for another member."""
    found = result[form]
    if isinstance(found, str):
        raise TypeError(f"{form} is no form")
    return math.nan if found is None else found


def number(value: float) -> float | None:
    """A relative error as it is stored."""
    return None if math.isnan(value) else round(value, 6)


def write(results: Results) -> None:
    """Store the results, and write every table anew."""
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for path, text in documents(results):
        path.write_text(text, encoding="utf-8")


def documents(results: Results) -> Iterator[tuple[Path, str]]:
    """Each document with its table as the results give it. Raises ValueError for a document without its comments."""
    for path, lines in ((ROOT / "docs/rules.md", _rules(results)), (ROOT / "README.md", _readme(results))):
        text = path.read_text(encoding="utf-8")
        begin = text.index(_BEGIN) + len(_BEGIN)
        end = text.index(_END, begin)
        yield path, text[:begin] + "\n".join(lines) + "\n" + text[end:]


def _rules(results: Results) -> Iterator[str]:
    yield "| month | Freezeline | average of ratios | raw `increase[30d]` |"
    yield "| --- | --- | --- | --- |"
    notes: list[str] = []
    for case in _shown(results):
        if case.lost and case.lost not in notes:
            notes.append(case.lost)
        mark = f" [{notes.index(case.lost) + 1}]" if case.lost else ""
        yield f"| {case.title}{mark} | {' | '.join(cells(results[case.name]))} |"
    yield ""
    for index, note in enumerate(notes, start=1):
        yield f"[{index}] {note}"


def _readme(results: Results) -> Iterator[str]:
    yield "| error of the 30-day ratio | Freezeline | average of ratios (Sloth) | raw increase (Pyrra) |"
    yield "| --- | --- | --- | --- |"
    for case in _shown(results):
        if case.name in README_CASES:
            yield f"| {case.title} | {' | '.join(cells(results[case.name]))} |"


def _shown(results: Results) -> Iterable[Case]:
    return [case for case in CASES if case.name in results]


def cells(by_seed: Mapping[str, Result]) -> Iterator[str]:
    """The largest error of each form over all seeds."""
    for form in FORMS:
        values = [error(result, form) for result in by_seed.values()]
        yield "NaN" if any(map(math.isnan, values)) else percent(max(values, key=abs))


def percent(ratio: float) -> str:
    """`+0.012 %`, with as many digits as matter."""
    value = ratio * 100
    text = f"{value:+.3f}" if abs(value) < 0.1 else f"{value:+.2f}" if abs(value) < 10 else f"{value:+.1f}"
    return "0" if float(text) == 0 else f"{text} %"
