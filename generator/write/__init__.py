"""Puts files on disk, all of them or none, and finds and reads the files of specs.

This wing may import only `text`: it knows bytes and paths, and nothing of specs. Begin to read with `all_or_none`;
`journal` says what happens to a run that is killed.
"""
