"""The command line, and what needs the generator and the receiver at once (demo, drill)."""
