"""The objects of foreign files: items of lists one by one, and Kubernetes objects that are no SLO."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from generator.imports.base import ForeignReader
from generator.reading.source import Value, place

# What the API server and kubectl write into `metadata`; none of it says anything about the SLO.
_SERVER_KEYS = (
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
_SLO_GROUPS = ("sloth.slok.dev", "pyrra.dev", "openslo", "openslo.com")
_SLO_KINDS = ("PrometheusServiceLevel", "ServiceLevelObjective", "SLO", "SLI")


def each(documents: Iterable[Value]) -> Iterator[Value]:
    """Every object: of lists of objects, of `kind: List` as `kubectl get -o yaml` writes it, and of any other list."""
    for document in documents:
        items = document.content if isinstance(document.content, tuple) else _items(document)
        if items is None:
            yield document
        else:
            yield from each(items)


def _items(document: Value) -> tuple[Value, ...] | None:
    """The items of a Kubernetes list; None for any other object."""
    content = document.content
    if not isinstance(content, dict) or "kind" not in content or "items" not in content:
        return None
    items = content["items"].value.content
    return items if content["kind"].value.text.endswith("List") and isinstance(items, tuple) else None


def finish_metadata(metadata: ForeignReader) -> None:
    """Warn of unknown keys of `metadata`, except of the keys that Kubernetes itself writes."""
    for key in _SERVER_KEYS:
        metadata.has(key)
    metadata.finish()


def is_other(reader: ForeignReader, title: str, marks: Sequence[str]) -> bool:
    """Whether the object belongs to Kubernetes and no SLO tool; a warning says that the import leaves it out.

    A ConfigMap whose text holds one of the tool's `marks` is an error: its SLOs would be lost.
    """
    version, kind = reader.text("apiVersion", ""), reader.text("kind", "")
    if not version or not kind or version.partition("/")[0] in _SLO_GROUPS or kind in _SLO_KINDS:
        return False
    name = _name(reader.written)
    inside = kind == "ConfigMap" and any(mark in text for text in _texts(reader.written) for mark in marks)
    if inside:
        position = place(reader.written, "data")
        message = f"the ConfigMap {name} holds files of {title}, and the import does not read inside a ConfigMap"
        hint = f"save each text under `data:` of the ConfigMap {name} as a file of its own, and import the files"
        reader.problems.add("import/kind", position, message, hint)
    else:
        hint = f"check that the {kind} {name} holds no SLO: the import reads the objects of {title} only"
        message = f"the import leaves out the {kind} {name}"
        reader.problems.add("import/not-carried", reader.at("kind"), message, hint, warning=True)
    return True


def _name(document: Value) -> str:
    for key in ("metadata", "name"):
        content = document.content
        if not isinstance(content, dict) or key not in content:
            return ""
        document = content[key].value
    return document.text


def _texts(document: Value) -> Iterator[str]:
    """The texts under `data`."""
    data = (
        document.content["data"].value.content
        if isinstance(document.content, dict) and "data" in document.content
        else None
    )
    if isinstance(data, dict):
        yield from (entry.value.text for entry in data.values())
