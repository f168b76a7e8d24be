"""From spec files to the bytes of every artefact. Pure: files come in as bytes and leave as bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from msgspec import Struct, field

from freezeline.problems import Position, Problems
from generator import checks
from generator.model.spec import OutputSet, Spec
from generator.names import PROMETHEUS
from generator.reading.source import Source
from generator.render.alertmanager.places import DEFAULTS, PAIR_FILE, TEMPLATE_FILE, Settings
from generator.render.rules import alert_texts, emitted, rules, self_rules, shared
from generator.render.rules.rule_file import RuleFile
from generator.spec import scope as scopes
from generator.spec.load import load

OVERVIEW_FILE = "overview.json"
_PROVEN_NOTE = "For promtool alone: the rules as Prometheus needs them. Load those in ../../ into {target} instead."
Origins = Mapping[str, list[tuple[int, Position]]]


class Loaded(Struct, frozen=True, kw_only=True):
    """The specs that were read, with their problems. The set holds every spec that could be read."""

    sources: tuple[Source, ...]
    output_set: OutputSet
    problems: Problems
    left_out: tuple[str, ...] = ()  # specs of the same folder that this run does not name, and that name no scope

    def line(self, position: Position) -> str | None:
        """The source line of a problem."""
        for source in self.sources:
            if source.name == position.file and 0 < position.line <= len(source.lines) and source.text:
                return source.lines[position.line - 1]
        return None


class Rendered(Struct):
    """All artefacts: relative path → bytes. For rule files, also the spec's position for each line."""

    places: Settings  # paths and URLs for Alertmanager's configuration
    target: str = PROMETHEUS  # the engine that evaluates the rules
    outputs: dict[str, bytes] = field(default_factory=dict)
    origins: dict[str, list[tuple[int, Position]]] = field(default_factory=dict)
    warnings: Problems = field(default_factory=Problems)
    faults: Problems = field(default_factory=Problems)  # Freezeline's own mistakes: such artefacts must not be written

    def add_rules(self, file: RuleFile) -> None:
        """Add a rule file."""
        self.outputs[file.path], self.origins[file.path] = file.content()

    def add_json(self, path: str, data: object) -> None:
        """Add a JSON file."""
        from generator.text import json_text

        self.outputs[path] = (json_text.text(data) + "\n").encode()


def load_set(files: Iterable[tuple[str, bytes]], scope: str | None, beside: Iterable[tuple[str, bytes]] = ()) -> Loaded:
    """Read and check specs that are generated together. Files are (name, content).

    Without a scope, the specs decide, together with the other specs of their folder (`beside`).
    """
    problems = Problems()
    sources: list[Source] = []
    specs: list[Spec] = []
    for name, data in files:
        source, spec = load(name, data, problems)
        sources.append(source)
        if spec is not None:
            specs.append(spec)
    others = scopes.heads(beside)
    chosen = scope or scopes.choose(map(scopes.of_spec, specs), others)
    output_set = OutputSet(scope=chosen, specs=tuple(specs))
    checks.run(output_set, problems)
    left_out = tuple(head.file for head in others if not head.scope)
    return Loaded(sources=tuple(sources), output_set=output_set, problems=problems, left_out=left_out)


def rule_files(output_set: OutputSet, target: str = PROMETHEUS) -> Iterable[RuleFile]:
    """The rule files of a set: one for each spec, one for each profile, and one about Freezeline itself."""
    adapt = _adapt(target)
    for spec in output_set.specs:
        yield adapt(rules.render(spec, output_set.scope), spec.defaults.scrape_ms)
    for profile in output_set.profiles().values():
        links = alert_texts.links_of(output_set.specs, profile.name)
        yield adapt(shared.render(profile, output_set.scope, links=links), 0)
    yield adapt(self_rules.render(output_set.scope, acts=any(spec.policy for spec in output_set.specs)), 0)


def _adapt(target: str) -> Callable[[RuleFile, int], RuleFile]:
    """From a rule file for Prometheus, and the scrape interval of its counters, to the file of another engine."""
    if target == PROMETHEUS:
        return lambda file, _scrape_ms: file
    from generator.engines.targets import TARGETS

    return TARGETS[target].adapt


def _render_rules(output_set: OutputSet, rendered: Rendered) -> None:
    files = list(rule_files(output_set))
    rendered.faults.extend(emitted.faults(files))
    if rendered.target != PROMETHEUS:
        from generator.engines.targets import TARGETS

        rendered.faults.extend(TARGETS[rendered.target].refused(files))
        files = list(rule_files(output_set, rendered.target))
    for file in files:
        rendered.add_rules(file)


def _render_policy(output_set: OutputSet, rendered: Rendered) -> None:
    from generator.render.policy import policy

    for spec in output_set.specs:
        loaded = partial(_rules_of, output_set, spec, rendered.target)
        rendered.add_json(f"rules/policy/{spec.name}.policy.json", policy.render(spec, loaded))


def _rules_of(output_set: OutputSet, spec: Spec, target: str) -> tuple[tuple[str, str], ...]:
    """Name and expression of each rule that a spec needs: the rules of its own file, and those of its profiles."""
    adapt = _adapt(target)
    profiles = {slo.profile.name: slo.profile for slo in spec.slos}
    files = [adapt(rules.render(spec, output_set.scope), spec.defaults.scrape_ms)]
    files += [adapt(shared.render(profiles[name], output_set.scope), 0) for name in sorted(profiles)]
    return tuple((rule.name, rule.expr) for file in files for group in file.groups for rule in group.rules)


def _render_alertmanager(output_set: OutputSet, rendered: Rendered) -> None:
    from generator.render.alertmanager import alertmanager
    from generator.text import yaml_text

    places = rendered.places
    for spec in output_set.specs:
        text = yaml_text.document(alertmanager.render(spec, places), alertmanager.HEADER.format(source=spec.file))
        rendered.outputs[f"rules/alertmanager/{spec.name}.yml"] = text.encode()
    sources = ", ".join(spec.file for spec in output_set.specs)
    text = yaml_text.document(
        alertmanager.render_merged(output_set.specs, places), alertmanager.HEADER.format(source=sources)
    )
    rendered.outputs[f"rules/alertmanager/{alertmanager.ALL_FILE}"] = text.encode()
    rendered.outputs[f"rules/alertmanager/{TEMPLATE_FILE}"] = alertmanager.template_text().encode()
    if places.replica_labels:
        text = yaml_text.document(alertmanager.render_pair(places.replica_labels), alertmanager.PAIR_HEADER)
        rendered.outputs[f"rules/alertmanager/{PAIR_FILE}"] = text.encode()


def _render_dashboards(output_set: OutputSet, rendered: Rendered) -> None:
    from generator.render.dashboards import dashboard

    for spec in output_set.specs:
        rendered.add_json(f"dashboards/{spec.name}.json", dashboard.render(spec, output_set.scope))
    overview = dashboard.render_overview(output_set.specs, output_set.scope)
    rendered.add_json(f"dashboards/{OVERVIEW_FILE}", overview)


def _render_proofs(output_set: OutputSet, rendered: Rendered) -> None:
    from generator.proofs import file as proofs

    for spec in output_set.specs:
        made = proofs.render(spec, output_set.scope)
        rendered.warnings.extend(made.warnings())
        for file in made.files:
            rendered.outputs[file.path] = file.text.encode()
            rendered.origins[file.path] = list(file.origins)


_PLACES = (
    ("rules/policy/", "policy"),
    ("rules/alertmanager/", "alertmanager"),
    ("rules/tests/", "proofs"),
    ("rules/", "rules"),
    ("dashboards/", "dashboards"),
)


def kind_of(path: str) -> str:
    """The kind of artefact of a generated path: a key of `ARTEFACTS`."""
    return next(kind for prefix, kind in _PLACES if path.startswith(prefix))


ARTEFACTS: Mapping[str, Callable[[OutputSet, Rendered], None]] = {
    "rules": _render_rules,
    "proofs": _render_proofs,
    "policy": _render_policy,
    "alertmanager": _render_alertmanager,
    "dashboards": _render_dashboards,
}


def render_set(
    output_set: OutputSet,
    only: Iterable[str] | None = None,
    places: Settings = DEFAULTS,
    target: str = PROMETHEUS,
) -> Rendered:
    """All artefacts of a set, or the named kinds of `ARTEFACTS`, with rules for an engine of `names.ENGINES`."""
    rendered = Rendered(places=places, target=target)
    wanted = set(ARTEFACTS if only is None else only)
    for kind, renderer in ARTEFACTS.items():
        if kind in wanted:
            renderer(output_set, rendered)
    if target != PROMETHEUS:
        from generator.render.rules.proven import read_beside

        rendered.outputs = read_beside(rendered.outputs, rule_files(output_set), _PROVEN_NOTE.format(target=target))
    return rendered
