"""`freezeline demo`: breaks a small service on this machine and shows each step, from the alert to the recovery.

This wing may import the receiver and what lies below it here; it starts real programs and never pretends a step.
Begin to read with `story`, which tells the demo from start to end.
"""
