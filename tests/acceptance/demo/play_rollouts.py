"""`freezeline demo --canary --json` on another example than the committed one: `play_rollouts.py FOLDER SECONDS`."""

import sys
from pathlib import Path

from freezeline.commands import demo

_, folder, limit_s = sys.argv
sys.exit(demo.play_rollouts((), keep=False, as_json=True, example=Path(folder), act_limit_s=float(limit_s)))
