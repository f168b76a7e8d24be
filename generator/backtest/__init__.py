"""What the alerts, freezes and budgets of a spec would have done in the recorded past.

This wing may import every other wing of the generator but `reports`. Begin to read with `past`: the questions to
Prometheus, asked by `fetch`. Everything after the answers is pure: `windows`, `slos`, `alerts`, `freezes`, `page`.
"""
