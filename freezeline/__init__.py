"""The command line, and what needs the generator and the receiver at once: the demo.

`cli` finds the sub-command and imports that alone; `problems` is the only module here that the generator and the
receiver import. Begin to read with `cli`, then with `commands.validate`.
"""

__version__ = "0.2.0"
