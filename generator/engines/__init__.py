"""Rules for engines other than Prometheus: what an engine evaluates differently is written differently.

Each engine is a module with one function, from a rule file as Prometheus needs the file to the file that the engine
needs. This wing may import `render.rules` and what lies below that wing. Begin to read with `thanos`, the shortest;
docs/engines.md gives the reasons.
"""
