"""Alertmanager webhooks in; freeze flags, rollbacks and notices out, by policy.

The receiver imports nothing of the generator, and of `freezeline` only `problems`. `docs/architecture.md` draws its
wings. Begin to read with `receiver.webhook.process`: there a webhook becomes decisions and actions.
"""
