"""A/B tests between two releases: every metric is a share of bad events, and looks at the data are paid for.

The modules here are pure. They need the extra `freezeline[ab]` (scipy). This wing may import nothing of ours but
`release.policy`. Begin to read with `judge`.
"""
