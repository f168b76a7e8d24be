"""What runs beside the webhook: carries out due actions, repairs what differs, escalates, forgets what is too old.

This wing may import `act`, `webhook` and what lies below them; `serve` starts and stops its loops. Begin to read with
`worker`, which hands due actions to the performers, then with `reconcile`.
"""
