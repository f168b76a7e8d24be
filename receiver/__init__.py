"""Takes Alertmanager's webhooks and, by policy, writes freeze flags, rolls back and sends notices.

The receiver imports nothing of the generator, and of `freezeline` only `problems`. `docs/architecture.md` draws its
wings. Begin to read with `receiver.webhook.process`, where a webhook becomes decisions and actions.
"""
