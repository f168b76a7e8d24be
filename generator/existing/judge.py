"""What an existing configuration does to Freezeline's alerts, in one call for `merge` and for `validate`."""

from __future__ import annotations

from freezeline.problems import Problems
from generator.existing import inhibitions, our_alerts, routes
from generator.existing.document import Document
from generator.existing.merge import added_texts, merge, users_part
from generator.model.spec import OutputSet
from generator.render.alertmanager import alertmanager
from generator.render.alertmanager.places import Settings


def judge(document: Document, output_set: OutputSet, settings: Settings, problems: Problems) -> None:
    """Report the effects of the user's part of a file, with Freezeline's parts merged or written by hand."""
    ours = our_alerts.of(output_set)
    inhibitions.check(document, ours, problems)
    found = routes.tree(document, settings.webhook_urls)
    if not found.ours:
        added = added_texts(document, alertmanager.parts(output_set.specs, settings))
        found = routes.tree(document, settings.webhook_urls, added.first, added.last, added.receivers)
    routes.check(found, ours, problems)


def judge_file(name: str, text: str, output_set: OutputSet, settings: Settings, problems: Problems) -> None:
    """Report the effects of a file, and everything that keeps Freezeline's parts out of the file."""
    document = users_part(name, text, problems)
    if document is None:
        return
    if not routes.tree(document, settings.webhook_urls).ours:
        parts = alertmanager.parts(output_set.specs, settings)
        if merge(name, text, parts, problems) is None:
            return
    judge(document, output_set, settings, problems)
