"""Server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html defines them."""

from msgspec import Struct, field

EVENT_MAX_BYTES = 4 * 1024 * 1024


class StreamTooLargeError(Exception):
    """One event is larger than EVENT_MAX_BYTES."""


class Event(Struct, frozen=True, kw_only=True):
    """One event. `id` is the stream's last id so far, "" before the first."""

    id: str
    name: str
    data: str


class Parser(Struct, kw_only=True):
    """Turns the bytes of one connection into events. `retry_ms` is the server's requested pause, if any."""

    retry_ms: int | None = None
    _last_id: str = ""
    _name: str = ""
    _data: list[str] = field(default_factory=list)
    _rest: bytes = b""
    _size: int = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Take bytes, and return the events that they complete. Raises StreamTooLargeError."""
        # A lone CR ends a line, but a CR at the end of a chunk may be half of a CRLF: keep it back.
        raw = self._rest + chunk
        held = raw[-1:] if raw.endswith(b"\r") else b""
        body = raw[: len(raw) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = body.split(b"\n")
        self._rest = rest + held
        self._size += len(chunk)
        events = [event for line in lines for event in self._line(line.decode("utf-8", "replace"))]
        if self._size > EVENT_MAX_BYTES:
            raise StreamTooLargeError(f"an event of more than {EVENT_MAX_BYTES} bytes")
        return events

    def _line(self, line: str) -> list[Event]:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._last_id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value)
        return []

    def _dispatch(self) -> list[Event]:
        events = []
        if self._data:
            events = [Event(id=self._last_id, name=self._name or "message", data="\n".join(self._data))]
        self._name, self._data, self._size = "", [], 0
        return events
