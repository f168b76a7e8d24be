"""An Alertmanager configuration that people already have: read, judged, and extended by Freezeline's parts.

This wing may import `render.alertmanager`, `render.rules` and what lies below them. Begin to read with `merge`.
"""
