"""Runs commands: rollbacks under a process that outlives the receiver, and short commands under a time limit.

This wing imports nothing else of the receiver, and its runner only the standard library: the runner must work while
everything else is broken. Begin to read with `runs`, the receiver's side; docs/runner.md tells the protocol.
"""
