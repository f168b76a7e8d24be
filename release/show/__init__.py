"""Rollouts as text for people and as JSON for programs.

This wing may import `release.ab`, `release.canary`, `release.policy` and `release.store`. Begin to read with `status`.
"""
