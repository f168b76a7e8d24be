"""A real ChromaDB in a virtual environment of its own, which takes minutes to install, and records for its stores."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from devtools.prometheus_tools import cache_dir

VERSION = "chromadb>=1.5,<1.6"
INSTALL_S = 1500
FILL = """
import random, sys
import chromadb
client = chromadb.PersistentClient(path=sys.argv[1], settings=chromadb.config.Settings(anonymized_telemetry=False))
chance = random.Random(5)
documents = client.create_collection("documents", metadata={"language": "en"}, embedding_function=None)
for first in range(0, 3000, 500):
    ids = [f"record {number}" for number in range(first, first + 500)]
    documents.add(
        ids=ids,
        embeddings=[[chance.gauss(0, 1) for _ in range(16)] for _ in ids],
        documents=[f"text of {one}" for one in ids],
        metadatas=[{"number": number, "half": number / 2} for number, _ in enumerate(ids)],
    )
small = client.create_collection("small", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None)
small.add(ids=["a", "b", "c"], embeddings=[[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]])
if len(sys.argv) > 2:
    print("open", flush=True)
    sys.stdin.read()
"""


def installed() -> Path:
    """A Python with ChromaDB, kept in the cache of tools."""
    place = cache_dir(os.environ) / f"chromadb-1.5-{sys.version_info[0]}.{sys.version_info[1]}"
    found = place / "bin" / "python"
    if not (place / "done").exists():
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=INSTALL_S)
        pip = [sys.executable, "-m", "pip", "--python", str(found)]
        subprocess.run([*pip, "install", "-q", VERSION], check=True, timeout=INSTALL_S)
        (place / "done").touch()
    return found


def filled(python: Path, directory: Path) -> Path:
    """A store of ChromaDB with 3,000 records in one collection and three in another."""
    subprocess.run([str(python), "-c", FILL, str(directory)], check=True, timeout=300)
    return directory
