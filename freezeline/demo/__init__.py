"""`freezeline demo`: a small service is broken on this machine, and the whole loop closes before one's eyes."""
