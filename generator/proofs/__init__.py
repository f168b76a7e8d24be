"""Proofs: unit tests for `promtool test rules` that are made from the spec, alert by alert (docs/proofs.md)."""
