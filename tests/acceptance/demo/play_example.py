"""The demo on another example than the committed one: `play_example.py FOLDER SECONDS` prints its outcome as JSON."""

import asyncio
import json
import sys
from pathlib import Path

from freezeline.demo import show
from freezeline.demo.story import Told, tell


def over(told: Told) -> None:
    """Print the outcome."""
    print(json.dumps(show.as_json(told.timeline, told.verdict, told.addresses)))


def say(line: str) -> None:
    """Show what happens, for a failing test's reader."""
    print(line, file=sys.stderr)


_, folder, limit_s = sys.argv
asyncio.run(tell(say, keep=False, over=over, example=Path(folder), story_limit_s=float(limit_s)))
