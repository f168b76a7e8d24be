"""What can be wrong with a vendor."""

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """One kind of fault; each stands for what real vendors do on bad days."""

    NONE = "none"
    DEAD = "dead"
    """The connection is closed without an answer."""
    ERRORS = "errors"
    """Status 500."""
    OVERLOADED = "overloaded"
    """Status 529, or 503."""
    SLOW = "slow"
    """The answer begins only after `wait_s`."""
    DRIP = "drip"
    """Every word of a stream comes only after `wait_s`."""
    RATE_LIMITED = "rate-limited"
    """Status 429 with Retry-After of `wait_s`."""
    CUT = "cut"
    """The connection is closed in the middle of the answer."""
    WRONG_JSON = "wrong-json"
    """Status 200, and a body that is no JSON."""
    UNAUTHORIZED = "unauthorized"
    """Status 401."""
    TOO_LONG = "too-long"
    """Status 400: the question does not fit into the model."""
    FILTERED = "filtered"
    """Status 400: the vendor refuses the content."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault of one vendor. `wait_s` belongs to `slow` and `rate-limited`. Only each n-th request (`every`) fails."""

    kind: Kind = Kind.NONE
    wait_s: float = 1.0
    every: int = 1


VENDORS = ("openai", "anthropic", "embeddings")
