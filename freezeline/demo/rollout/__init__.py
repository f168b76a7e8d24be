"""`freezeline demo --canary`: rolls out a good release and three bad ones, and watches from outside.

This wing may import the demo, the receiver and `release`. The releases, the servers and the engine are real programs.
Begin to read with `story`, which tells the demo from start to end.
"""
