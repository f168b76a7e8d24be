"""Adapters that move a share of the traffic to the new release, and read back what the proxy does.

This wing may import `release.policy`. Begin to read with `adapter`.
"""
