"""Decisions of a rollout: what each measurement proves, and what the engine does next.

The modules here are pure: measurements and events come in, verdicts and commands go out. This wing may import
`release.policy`. Begin to read with `verdict`.
"""
