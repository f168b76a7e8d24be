"""Decides: what an alert, an operator or the passing of time means, as values. Pure: no clock, no files, no network.

This wing may import `policy` and `plaintext`. Begin to read with `model`, the values of episodes, freezes and actions,
then with `plan`, which decides.
"""
