"""`freezeline demo --json` on another example than the committed one: `play_example.py FOLDER SECONDS`."""

import sys
from pathlib import Path

from freezeline.commands import demo

_, folder, limit_s = sys.argv
sys.exit(demo.play(keep=False, as_json=True, example=Path(folder), story_limit_s=float(limit_s)))
