"""The sub-commands: one module each, with `configure(parser)` and `run(args)`. `freezeline.cli` lists them.

A command is imported only when it is called, and may import everything else. No command imports another: `places`
and `specs` hold what several commands share. Begin to read with `validate`.
"""
