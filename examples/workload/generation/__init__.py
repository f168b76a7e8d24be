"""The generation service: answers questions about a corpus, by jobs that survive the death of their worker.

`python -m examples.workload.generation api` and `… worker` start its two processes. Begin to read at `queue.py`.
"""
