"""Reads a secret from its file when the secret is used, and hides secrets in texts."""

from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from receiver.decide.notice import PermanentFailure
from receiver.plaintext import plain

SECRET_MAX_BYTES = 4096
REASON_MAX = 300
_HIDDEN = "[redacted]"
# Shorter pieces of a secret URL, such as "services", are no secret. Hiding them would spoil the message.
_PIECE_MIN = 8


class SecretFile(Struct, frozen=True, kw_only=True):
    """A file that holds only one secret. Each use reads the file, so a rotated secret needs no restart."""

    path: Path

    def read(self) -> str:
        """The secret, without surrounding blanks. Raises PermanentFailure, which names only the file."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(SECRET_MAX_BYTES + 1)
        except OSError as error:
            raise PermanentFailure(f"secret file {self.path}: {error.strerror or 'cannot be read'}") from error
        if len(raw) > SECRET_MAX_BYTES:
            raise PermanentFailure(f"secret file {self.path}: more than {SECRET_MAX_BYTES} bytes")
        try:
            secret = raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            # The chained error would carry the bytes of the secret into a traceback.
            raise PermanentFailure(f"secret file {self.path}: not UTF-8") from None
        if not secret or not secret.isprintable() or " " in secret:
            raise PermanentFailure(f"secret file {self.path}: must hold one word of printable text")
        return secret


def redact(text: str, *secrets: str) -> str:
    """`text` as one short line for logs and the journal, without secrets and long pieces of secret URLs."""
    for secret in secrets:
        for piece in sorted(_pieces(secret), key=len, reverse=True):
            text = text.replace(piece, _HIDDEN)
    return plain(text, REASON_MAX)


def _pieces(secret: str) -> set[str]:
    url = urlsplit(secret) if "://" in secret else None
    if url is None:
        return {secret} if secret else set()
    parts = {secret, url.path, url.query, url.password or "", *url.path.split("/")}
    return {part for part in parts if len(part) >= _PIECE_MIN}
