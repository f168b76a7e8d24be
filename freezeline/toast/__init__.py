"""`freezeline toast`: a program of each desktop user, which follows the event stream and shows native toasts.

This wing runs where no receiver runs: it may import only `receiver.decide` and `receiver.plaintext`. Begin to read with
`program`, then with `agent`, the loop.
"""
