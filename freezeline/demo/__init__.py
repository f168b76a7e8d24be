"""`freezeline demo`: breaks a small service on this machine, and shows each step until the freeze ends."""
