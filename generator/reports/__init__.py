"""Says what specs lead to, in words and numbers: what a line becomes, what a change means, what Prometheus pays.

This wing may import renderers, proofs and what lies below them; nothing of the generator imports it. Begin to read
with `explain`; each `…_text` module prints what its neighbour found.
"""
