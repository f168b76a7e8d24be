"""Loops beside the webhook: carry out due actions, repair differences, escalate, and drop old data.

This wing may import `act`, `webhook` and what lies below them; `serve` starts and stops its loops. Begin to read with
`worker`, which hands due actions to the performers, then with `reconcile`.
"""
