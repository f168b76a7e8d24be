"""`python -m freezeline`: the command line, by the interpreter that runs this."""

import sys

from freezeline.cli import main

if __name__ == "__main__":
    sys.exit(main())
