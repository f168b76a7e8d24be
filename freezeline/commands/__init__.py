"""The commands, one module each: `configure(parser)` declares the options, `run(args)` gives the exit code."""
