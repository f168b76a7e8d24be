"""What `freezeline drill KIND` asks for: one module per kind, with `configure(parser)` and `rehearse(args, asked)`.

This place may import `release.drill` and the receiver. Begin to read with `loop`; `freezeline.commands.drill` calls the
kinds, and writes the history.
"""

from collections.abc import Mapping
from types import MappingProxyType

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "loop": "send a drill alert through Alertmanager, and measure each leg to flag, notice and unfreeze",
        "recovery": "restore the newest backups of SQLite, Redis and ChromaDB, and prove that they are whole",
        "canary": "roll a good and a bad release of a stand-in out behind HAProxy; --really: a release of the service",
        "fallback": "break the providers of a chain one after the other, and let no user's request fail",
        "stream": "open real streams of server-sent events, and measure the first event and the connections",
        "rollback": "roll a stand-in service back many times with faults injected; --really: the live release, once",
    }
)
"""Kind of drill → one line for people. The module of this place with the kind's name carries the kind out."""
