"""A rollout's own database: the state, what changed the state, every look, orders of people, and what to tell.

This wing may import `release.canary`. Begin to read with `database`.
"""
