"""Runs commands: rollbacks under a process that outlives the receiver, and short commands with a time limit.

This wing imports no other wing of the receiver. The runner uses only the standard library, because the runner must work
while everything else is broken. Begin to read with `runs`, the receiver's side; docs/runner.md explains the protocol.
"""
