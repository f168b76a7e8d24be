"""Decides, as values, how to answer an alert, an operator or the passing of time. Pure: no clock, files or network.

This wing may import `policy` and `plaintext`. Begin to read with `model`, the values of episodes, freezes and actions,
then with `plan`, which decides.
"""
