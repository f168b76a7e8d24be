"""What surrounds the requests: tokens, checks of Host and Origin, health, the event stream, operators' requests.

This wing may import `act` and what lies below `act`; `receiver.web` puts the parts together. Begin to read with
`access`, which every request passes.
"""
