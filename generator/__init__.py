"""SLO specs in; Prometheus rules, their proofs, dashboards, Alertmanager config and policy out.

The generator imports nothing of the receiver, and of `freezeline` only `problems`. `docs/architecture.md` draws its
wings. Begin to read with `generator.pipeline`: there a spec becomes the bytes of every artefact.
"""
