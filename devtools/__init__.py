"""The parts of ./dev that need Python: the environment and the Prometheus tools. Only the standard library."""
