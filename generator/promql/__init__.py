"""PromQL: quotes and composes expressions, parses them, and says what is wrong with them.

This wing imports nothing else of the generator: it knows PromQL, and no specs. Begin to read with `text`, which writes
expressions; `check` parses them, and `lint` and `labels` look for mistakes that parse.
"""
