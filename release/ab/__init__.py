"""A/B tests between two releases: every metric is a share of bad events, and looks at the data are paid for.

The modules here are pure. Their library, scipy, comes with the extra `freezeline[ab]`. This wing may import nothing of ours but
`release.policy`. Begin to read with `judge`.
"""
