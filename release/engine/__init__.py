"""Runs a rollout: asks the gates' queries, feeds the state machine, obeys its commands, and keeps every step.

This wing may import every other wing of `release`. Begin to read with `engine`.
"""
