"""`python -m freezeline`: the command line, run by the interpreter of this package."""

import sys

from freezeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
