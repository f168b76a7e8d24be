"""A/B tests between two releases: every metric is a share of bad events, and looks at the data are paid for.

The modules here are pure. The extra `freezeline[ab]` brings scipy, which does the arithmetic. This wing may import
`release.policy`. Begin to read with `judge`.
"""
