"""Rollouts as text for people and as JSON for programs.

This wing may import `release.canary` and `release.store`. Begin to read with `status`.
"""
