"""Renders the policy file of a spec: the JSON by which the receiver acts.

The receiver owns the format (`receiver/policy/policy.schema.json`), and a contract test compares both sides. This wing
may import `model` and what lies below it, and no other renderer. Begin to read with `policy`.
"""
