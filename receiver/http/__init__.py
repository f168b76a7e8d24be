"""What stands around the requests: tokens, checks of Host and Origin, health, the event stream, operators' wishes.

This wing may import `act` and what lies below it; `receiver.web` puts its parts together. Begin to read with `access`,
which every request passes.
"""
