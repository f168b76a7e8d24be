"""What a receiver's log says of errors."""

import json
from pathlib import Path


def said_in_error(log: Path) -> list[str]:
    """Records with a traceback or of level ERROR, and lines that are no records, except the line at the start."""
    found = []
    for line in log.read_text("utf-8").splitlines():
        record = json.loads(line) if line.startswith("{") else None
        if record is None:
            if not line.startswith("listening on "):
                found.append(line)
        elif record.get("kind") == "hidden":
            continue  # pytest's folders are closed to other users, so nobody else sees flags in them
        elif record["level"] == "ERROR" or "Traceback" in record.get("error", ""):
            found.append(f"{record['message']}: {record.get('error', '')[-800:]}")
    return found
