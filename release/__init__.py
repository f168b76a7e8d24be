"""Decides about releases: the gate before a deployment, the canary's stages, and the A/B tests between two releases.

This package reads the policy file that `generator` writes, and may use the receiver's wings. Neither the generator nor
the receiver imports this package. Begin to read with `release.policy.read`.
"""
