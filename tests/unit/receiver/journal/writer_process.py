"""One of several processes that write a journal: `python -m … JOURNAL DELIVERIES` with the name of this module.

It says "ready", waits for a line, and processes so many deliveries of one alert, which fires and is resolved in turns.
"""

import asyncio
import sys
from pathlib import Path

from receiver.journal import SqliteStore
from tests.unit.receiver.journal.writers import Writer, body


async def run(path: Path, count: int) -> None:
    """Process the deliveries, one after the other."""
    writer = Writer(SqliteStore(path, exclusive=False))
    writer.journal.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for number in range(count):
        status = "resolved" if number % 2 else "firing"
        await writer.process(body(status, annotations={"summary": str(number)}))
    await writer.journal.close()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))
