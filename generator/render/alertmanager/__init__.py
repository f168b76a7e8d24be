"""Renders Alertmanager's configuration: routes, receivers, inhibitions and mute times, and merges them into a file.

This wing may import `model` and what lies below it, and no other renderer. Begin to read with `alertmanager`; `merge`
puts our part into a configuration that exists already.
"""
