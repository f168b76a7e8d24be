"""The assistant: recommendations of films, a chat with memory, and sessions.

`python -m examples.workload.assistant` starts one. Begin to read at `app.py`. Nothing here comes from Freezeline's own
packages, and Freezeline imports nothing from here.
"""
