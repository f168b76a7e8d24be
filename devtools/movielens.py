"""Fetches MovieLens (latest-small) for the workload: `python -m devtools.movielens` prints the file's path.

The ratings lie in Debian's package r-cran-dslabs, as a database of the language R. The licence forbids passing the
ratings on in another form. Each machine therefore fetches and converts them, and the file is never committed.
"""

import bz2
import lzma
import os
import struct
import sys
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from devtools import debian
from devtools.environment import ROOT, VENV
from devtools.prometheus_tools import LOCK_DEADLINE_S, cache_dir
from devtools.steps import SetupError, locked, run, say

PACKAGE = "r-cran-dslabs"
DATA = "usr/lib/R/site-library/dslabs/data"
NAME = "movielens"
INSTALL_DEADLINE_S = 300
CONVERT_DEADLINE_S = 120


def path(environment: Mapping[str, str]) -> Path:
    """Where the converted ratings lie."""
    return cache_dir(environment) / "movielens-small.npz"


def ensure(environment: Mapping[str, str]) -> Path:
    """The converted ratings, fetched if need be. Raises SetupError."""
    target = path(environment)
    if not target.is_file():
        with locked(target.parent / f".{target.name}.lock", deadline_s=LOCK_DEADLINE_S):
            if not target.is_file():
                _fetch(target)
    return target


def _fetch(target: Path) -> None:
    """Unpack the package, read it with the library rdata in a folder of its own, and write `target` at once."""
    say("downloading MovieLens in Debian's r-cran-dslabs (5 MB), and the library that reads it")
    with tempfile.TemporaryDirectory(prefix="freezeline-movielens-") as scratch:
        folder = Path(scratch)
        debian.unpack(debian.download([PACKAGE], folder), folder / "root")
        python, library = str(VENV / "bin" / "python"), str(folder / "library")
        pip = [python, "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
        run([*pip, "--target", library, "rdata"], deadline_s=INSTALL_DEADLINE_S)
        fresh = target.with_name(f".{target.name}.{os.getpid()}.npz")
        argv = [python, "-W", "ignore", "-m", "devtools.movielens", "convert", str(folder / "root" / DATA), str(fresh)]
        run(argv, deadline_s=CONVERT_DEADLINE_S, cwd=ROOT, env={"PYTHONPATH": library})
        fresh.replace(target)


def entry(database: bytes, place: int, length: int) -> bytes:
    """One value of R's lazy-load database: its length, a letter for other compressions than zlib's, the packed value.

    Raises ValueError if the value is broken.
    """
    packed = database[place : place + length]
    (size,) = struct.unpack(">I", packed[:4])
    kind = packed[4:5]
    if kind == b"2":
        value = bz2.decompress(packed[5:])
    elif kind == b"Z":
        value = lzma.decompress(packed[5:])
    else:
        value = zlib.decompress(packed[4:])
    if len(value) != size:
        raise ValueError(f"{len(value)} bytes instead of {size}")
    return value


def convert(folder: Path, target: Path) -> None:
    """Read R's database in `folder`, and write users, films and ratings as arrays."""
    import numpy as np  # noqa: PLC0415 - only the conversion needs them, in a process of its own
    import rdata  # noqa: PLC0415 - as numpy

    index = rdata.read_rds(folder / "Rdata.rdx")
    place, length = (int(number) for number in index["variables"][NAME])
    packed = entry((folder / "Rdata.rdb").read_bytes(), place, length)
    found = rdata.conversion.convert(rdata.parser.parse_data(packed))
    _, user = np.unique(found["userId"].to_numpy(dtype=np.int64), return_inverse=True)
    _, first, film = np.unique(found["movieId"].to_numpy(dtype=np.int64), return_index=True, return_inverse=True)
    np.savez_compressed(
        target,
        user=user,
        film=film,
        stars=found["rating"].to_numpy(dtype=np.float64),
        at=found["timestamp"].to_numpy(dtype=np.int64),
        titles=found["title"].astype(str).to_numpy(dtype="U160")[first],
        years=found["year"].fillna(0).to_numpy(dtype=np.int64)[first],
        genres=found["genres"].astype(str).to_numpy(dtype="U120")[first],
    )


def main(argv: list[str]) -> int:
    """Print the path of the ratings. Exit code 3 if they cannot be had."""
    if argv[:1] == ["convert"]:
        convert(Path(argv[1]), Path(argv[2]))
        return 0
    try:
        print(ensure(os.environ))
    except SetupError as error:
        say(f"MovieLens: {error}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
