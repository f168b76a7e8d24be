"""`python -m freezeline`: the command line, run by the interpreter of this package."""

import sys

from freezeline.cli import command

if __name__ == "__main__":
    sys.exit(command())
