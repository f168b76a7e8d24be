"""The command line, and what needs the generator and the receiver at once (demo, drill)."""

__version__ = "0.1.0"
