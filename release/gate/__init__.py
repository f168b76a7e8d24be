"""The go/no-go gate: asks each check of a policy, and says GO, NO_GO or CANNOT_TELL with a reason for each check.

This wing may import `release.policy` and `receiver.sources`. Begin to read with `run`. One module per kind of check;
`ask` lists the kinds.
"""
