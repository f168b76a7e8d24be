"""Rehearsals: something is broken on purpose, and what heals it is measured. `freezeline drill` runs them.

The words are those of chaos engineering: a steady state, a method, and rollbacks that put everything back. This wing
may import every other wing of `release`, and `receiver`. Begin to read with `experiment`. One module per kind of drill.
"""
