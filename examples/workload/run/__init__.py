"""`./dev workload`: starts the workload and everything that watches it, all on loopback, and ends everything on Ctrl-C.

The servers are started as `freezeline demo` starts them; only the services are the workload's own.
"""
