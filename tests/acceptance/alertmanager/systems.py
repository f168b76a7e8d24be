"""The specs in slos/, and their Alertmanager configuration as text that a real Alertmanager on this machine can run."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from generator import pipeline
from generator.model.spec import Spec
from generator.render.alertmanager import alertmanager, places
from generator.text import yaml_text
from generator.write import files
from tests.tools import ROOT


@cache
def specs() -> Mapping[str, Spec]:
    """Every spec of slos/ by name."""
    loaded = pipeline.load_set(files.read(files.find([str(ROOT / "slos")])), "slos")
    assert not loaded.problems.errors
    assert len(loaded.output_set.specs) >= 5
    return {spec.name: spec for spec in loaded.output_set.specs}


def write_config(
    directory: Path,
    spec: Spec,
    *,
    webhook_url: str = "http://127.0.0.1:9/webhook",
    secrets: Mapping[str, str] | None = None,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> str:
    """The spec's configuration for an Alertmanager in `directory`, where its template and secrets are put.

    `change` may alter the configuration; what a test leaves out stays as it is generated.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / places.TEMPLATE_FILE).write_text(alertmanager.template_text())
    for name, secret in ({"freezeline-webhook": "a-token"} | dict(secrets or {})).items():
        (directory / name).write_text(secret)
    config: dict[str, Any] = alertmanager.render(
        spec, places.Settings(webhook_urls=(webhook_url,), secrets=str(directory))
    )
    if change is not None:
        change(config)
    return yaml_text.document(config)
