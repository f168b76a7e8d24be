"""Works on a directory of ChromaDB, in a Python that has ChromaDB. Standard library and chromadb only; nothing of ours.

Started as `python chroma_worker.py export|check|rebuild DIRECTORY RECORDS`. RECORDS is a file with a line of JSON for
each record. The answer is one object of JSON on standard output.
"""

import hashlib
import json
import math
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BATCH = 500
QUERIES = 20
NEAREST = 10
SEED = 1


def main(argv: list[str]) -> int:
    """Carry out one order. Exit status 1 with the error on standard error where ChromaDB fails."""
    order, directory, records = argv
    import chromadb  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - only this Python has it

    settings = chromadb.config.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(path=directory, settings=settings)
    try:
        answer = ORDERS[order](client, Path(records))
    except Exception as error:  # noqa: BLE001 - ChromaDB raises its Rust errors as plain exceptions
        sys.stderr.write(f"{type(error).__name__}: {error}"[:500] + "\n")
        return 1
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def export(client: Any, records: Path) -> dict[str, Any]:
    """Write every record of every collection, and say what is there."""
    with records.open("w") as file:
        for collection in client.list_collections():
            made = {
                "collection": collection.name,
                "metadata": collection.metadata,
                "configuration": index_of(collection),
            }
            file.write(json.dumps(made) + "\n")
            for record in stored(collection):
                file.write(json.dumps({"of": collection.name, **record}) + "\n")
    return {"collections": described(client)}


def check(client: Any, records: Path) -> dict[str, Any]:
    """Say what is there, what differs from the export, and how well the index finds neighbours."""
    wanted: dict[str, dict[str, dict[str, Any]]] = {}
    for line in lines(records):
        if "of" in line:
            wanted.setdefault(line["of"], {})[line["id"]] = line
        else:
            wanted.setdefault(line["collection"], {})
    found: dict[str, Any] = {}
    for collection in client.list_collections():
        have, want = {record["id"]: record for record in stored(collection)}, wanted.pop(collection.name, {})
        vectors = {name: record["embedding"] for name, record in have.items()}
        found[collection.name] = {
            "different": different(want, have),
            "embedding_error": largest_error({name: record["embedding"] for name, record in want.items()}, vectors),
            "recall": recall(collection, vectors),
        }
    return {"collections": described(client), "measures": found, "missing": sorted(wanted)}


def different(wanted: dict[str, dict[str, Any]], found: dict[str, dict[str, Any]]) -> int:
    """How many records are missing, new, or have another document or other metadata."""
    both = wanted.keys() & found.keys()
    changed = sum(any(wanted[one][key] != found[one][key] for key in ("document", "metadata")) for one in both)
    return len(wanted.keys() ^ found.keys()) + changed


def rebuild(client: Any, records: Path) -> dict[str, Any]:
    """Make every collection anew from the exported records."""
    made: dict[str, Any] = {}
    batches: dict[tuple[str, bool, bool], list[dict[str, Any]]] = {}
    for line in lines(records):
        if "collection" in line:
            made[line["collection"]] = created(client, line)
            continue
        # ChromaDB takes documents and metadata for all records of a call, or for none.
        key = (line["of"], line["document"] is None, line["metadata"] is None)
        batch = batches.setdefault(key, [])
        batch.append(line)
        if len(batch) == BATCH:
            add(made[line["of"]], batch)
            batch.clear()
    for key, batch in batches.items():
        add(made[key[0]], batch)
    return {"collections": described(client)}


def index_of(collection: Any) -> dict[str, Any]:
    """How the collection measures and indexes."""
    found = collection.configuration_json.get("hnsw") or {}
    return {name: found[name] for name in ("space", "ef_construction", "ef_search", "max_neighbors") if name in found}


def created(client: Any, line: dict[str, Any]) -> Any:
    """An empty collection like the exported one. Older collections say in their metadata how they measure."""
    metadata = line["metadata"]
    says = any(name.startswith("hnsw:") for name in metadata or ())
    configuration = None if says or not line["configuration"] else {"hnsw": line["configuration"]}
    return client.create_collection(
        line["collection"], metadata=metadata, configuration=configuration, embedding_function=None
    )


def add(collection: Any, batch: list[dict[str, Any]]) -> None:
    """Add records, each with its own embedding: ChromaDB must never compute one."""
    if batch:
        collection.add(
            ids=[record["id"] for record in batch],
            embeddings=[record["embedding"] for record in batch],
            documents=[record["document"] for record in batch] if batch[0]["document"] is not None else None,
            metadatas=[record["metadata"] for record in batch] if batch[0]["metadata"] is not None else None,
        )


def lines(records: Path) -> Iterator[dict[str, Any]]:
    """The exported lines."""
    with records.open() as file:
        for line in file:
            yield json.loads(line)


def stored(collection: Any) -> Iterator[dict[str, Any]]:
    """Every record of a collection, with its embedding as the index holds the embedding."""
    for offset in range(0, collection.count(), BATCH):
        page = collection.get(limit=BATCH, offset=offset, include=["documents", "metadatas", "embeddings"])
        for number, identifier in enumerate(page["ids"]):
            yield {
                "id": identifier,
                "document": page["documents"][number],
                "metadata": page["metadatas"][number],
                "embedding": [float(value) for value in page["embeddings"][number]],
            }


def described(client: Any) -> dict[str, Any]:
    """Count and digest of each collection: ids, documents and metadata. Embeddings are compared by their error."""
    found = {}
    for collection in client.list_collections():
        records = sorted((one["id"], one["document"], one["metadata"]) for one in plain(stored(collection)))
        text = json.dumps([collection.metadata, records], sort_keys=True, separators=(",", ":"))
        found[collection.name] = {"count": collection.count(), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return found


def plain(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Records whose metadata can be sorted: as text."""
    for record in records:
        yield {
            **record,
            "metadata": json.dumps(record["metadata"], sort_keys=True),
            "document": record["document"] or "",
        }


def largest_error(wanted: dict[str, list[float]], found: dict[str, list[float]]) -> float | None:
    """The largest difference of a component; None where ids or lengths differ."""
    if wanted.keys() != found.keys() or any(len(wanted[one]) != len(found[one]) for one in wanted):
        return None
    pairs = (pair for one in wanted for pair in zip(wanted[one], found[one], strict=True))
    return max((abs(first - second) for first, second in pairs), default=0.0)


def recall(collection: Any, vectors: dict[str, list[float]]) -> float:
    """The share of the true nearest records that the index finds, for fixed queries against brute force."""
    if not vectors:
        return 1.0
    space = str(index_of(collection).get("space") or "l2")
    names, chance, hits, wanted = sorted(vectors), random.Random(SEED), 0, 0  # noqa: S311 - the same queries each time
    for _ in range(QUERIES):
        query = [value + chance.gauss(0, 0.05) for value in vectors[chance.choice(names)]]
        nearest = sorted(names, key=lambda name: distance(space, query, vectors[name]))[:NEAREST]
        answer = collection.query(query_embeddings=[query], n_results=min(NEAREST, len(names)), include=[])
        hits += len(set(nearest) & set(answer["ids"][0]))
        wanted += len(nearest)
    return hits / wanted


def distance(space: str, first: list[float], second: list[float]) -> float:
    """As the index measures: squared L2, one minus the inner product, or one minus the cosine."""
    if space == "l2":
        return sum((a - b) ** 2 for a, b in zip(first, second, strict=True))
    product = sum(a * b for a, b in zip(first, second, strict=True))
    if space == "ip":
        return 1 - product
    return 1 - product / (math.hypot(*first) * math.hypot(*second) or 1.0)


ORDERS = {"export": export, "check": check, "rebuild": rebuild}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
