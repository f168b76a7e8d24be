"""The script generation of launch day: every request is a stream of server-sent events from the chain of providers.

`python -m examples.workload.scripts` starts one version; `python -m examples.workload.probes` watches its readiness.
"""
