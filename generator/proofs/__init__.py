"""Makes proofs: unit tests for `promtool test rules`, alert by alert, from the spec (docs/proofs.md).

This wing may import `render.rules`, whose rules the proofs run, and `model` and what lies below it. Begin to read with
`file`, which puts the proofs of a spec into files.
"""
