"""The command line, and everything that needs generator and receiver together: the demo."""
