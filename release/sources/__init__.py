"""The servers that this package asks for evidence.

This wing may import `receiver.plaintext`. Begin to read with `prometheus`.
"""
