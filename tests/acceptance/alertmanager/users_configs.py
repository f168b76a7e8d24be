"""Alertmanager configurations as people write them: every spelling of a value, a list, a route and a line end."""

from collections.abc import Iterator, Mapping
from random import Random

RECEIVERS = ("default", "pager", "dba", "audit")
# Texts for Alertmanager, which YAML 1.1 also knows as booleans, numbers, dates, times of day or nothing.
VALUES = (
    "yes", "no", "on", "Off", "y", "N", "true", "False", "1.10", "1.1", "010", "8", "0x1F", "31", "1_000", "1e3",
    ".5", "+1", "-0", ".inf", ".NaN", "08:30", "190:20:30", "2024-13-45", "2024-01-02", "2024-01-02 03:04:05", "x",
    "critical", "checkout",
)  # fmt: skip
LABELS = ("page", "version", "service", "severity", "team")
TRUE, FALSE = ("true", "yes", "y", "on", "True", "ON"), ("false", "no", "n", "off", "No")
ENDS = ("\n", "\r\n")


def texts(random: Random) -> str:
    """One configuration, valid for Alertmanager 0.25 and later, and without a list of routes in brackets."""
    lines = ["# ours — ask before you change it", "global:"]
    lines += random.choice(([], ["  resolve_timeout: 5m   # the default"], ["  # nothing yet"]))
    shared = random.random() < 0.3
    if shared:
        value = random.choice(VALUES)
        lines = [f"# {random.choice(VALUES)}", *lines]
    lines += ["route:", *random.choice(([], ["  # everything ends here"])), "  receiver: default"]
    lines += random.choice(([], ["  group_by: [alertname, cluster]"], ["  group_wait: 1s"]))
    routes = [line for _ in range(random.randrange(5)) for line in _route(random, depth=0)]
    lines += ["  routes:", *routes] if routes else random.choice(([], ["  routes: []"], ["  routes:"]))
    lines += ["receivers:"]
    for name in RECEIVERS:
        lines += [f"- name: {name}", *random.choice(([], ["  # a comment"], [""]))]
    lines += random.choice(
        (
            [],
            ["templates: ['/etc/am/my-freezeline.tmpl', \"/etc/am/*.tmpl\"]"],
            ["templates:", "- /etc/am/freezeline.tmpl"],
            ["templates: [/etc/am/a.tmpl]  # a comment", "inhibit_rules: []"],
        )
    )
    if shared:
        lines += ["inhibit_rules:"] if "inhibit_rules: []" not in lines else []
        if lines[-1] == "inhibit_rules:":
            lines += [f"- source_match: &same {{page: {value}}}", "  target_match: {page: nothing}", "  equal: [team]"]
    lines += random.choice(([], [], ["..."], ["...", "# after the end"], ["---", "ignored: document"]))
    return _with_ends(random, lines)


def _with_ends(random: Random, lines: list[str]) -> str:
    style = random.choice(("\n", "\n", "\r\n", "mixed"))
    ends = [random.choice(ENDS) if style == "mixed" else style for _ in lines]
    if lines[-1] != "..." and random.random() < 0.3:
        ends[-1] = ""
    first = random.choice(("", "", "\ufeff"))
    return first + "".join(line + end for line, end in zip(lines, ends, strict=True))


def _route(random: Random, depth: int) -> Iterator[str]:
    indent = "  " * (depth + 1)
    yield f"{indent}- receiver: {random.choice(RECEIVERS)}"
    for line in _matching(random):
        yield f"{indent}  {line}"
    if random.random() < 0.5:
        yield f"{indent}  continue: {random.choice(TRUE if random.random() < 0.7 else FALSE)}"
    if depth < 2 and random.random() < 0.3:
        yield f"{indent}  routes:"
        for _ in range(random.randrange(1, 3)):
            yield from _route(random, depth + 1)
    if random.random() < 0.2:
        yield f"{indent}# the end of a route"


def _matching(random: Random) -> Iterator[str]:
    labels = random.sample(LABELS, random.randrange(1, 3))
    pairs = {label: _spelled(random, random.choice(VALUES)) for label in labels}
    match random.randrange(7):
        case 0:
            return
        case 1 | 2:
            yield "match: {" + ", ".join(f"{label}: {value}" for label, value in pairs.items()) + "}"
        case 3:
            yield "match:"
            yield from (f"  {label}: {value}  # why" for label, value in pairs.items())
        case 4:
            yield (
                "match_re: {" + ", ".join(f"{label}: {random.choice(('1.*', 'yes|no', '.+'))}" for label in pairs) + "}"
            )
        case 5:
            yield "matchers: [ " + ", ".join(f"'{label}={random.choice(VALUES[:20])}'" for label in pairs) + " ]"
        case _:
            yield "matchers:"
            for label in pairs:
                yield f'  - {label} {random.choice(("=", "!=", "=~", "!~"))} "{random.choice(VALUES[:16])}"'


def _spelled(random: Random, value: str) -> str:
    return random.choice((value, value, f"'{value}'", f'"{value}"', f"!!str {value}"))


def alerts(random: Random, count: int) -> list[Mapping[str, str]]:
    """Label sets of alerts of other rules, some of them of a service that has a spec of ours."""
    found: list[Mapping[str, str]] = []
    for number in range(count):
        labels = {label: random.choice(VALUES) for label in random.sample(LABELS, random.randrange(0, 4))}
        found.append({"alertname": f"Theirs{number}", **labels})
    return found
