"""The releases of the assistant. `ASSISTANT_RELEASE` chooses what is wrong with a release: nothing is left to luck."""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is wrong with a release; the defaults are the good one."""

    name: str
    fails_every: int = 0
    """Each n-th request fails; 0: none."""
    fails_until_s: float = float("inf")
    """Failures end so many seconds after the start."""
    answers_after_s: float = 0.0
    leaks_bytes: int = 0
    """Memory that each request keeps."""
    burns_cpu: bool = False
    wrong_model: bool = False
    has_metrics: bool = True


RELEASES = {
    one.name: one
    for one in (
        Release(name="good"),
        Release(name="errors", fails_every=20),
        Release(name="slow", answers_after_s=0.7),
        Release(name="leak", leaks_bytes=MEBIBYTE // 2),
        Release(name="busy", burns_cpu=True),
        Release(name="worse-model", wrong_model=True),
        Release(name="no-metrics", has_metrics=False),
        Release(name="flaky-first-minute", fails_every=2, fails_until_s=60.0),
    )
}


def release(name: str) -> Release:
    """The release of this name; `good-2` and the like are good releases of another name. Raises ValueError."""
    if name.startswith("good-"):
        return Release(name=name)
    try:
        return RELEASES[name]
    except KeyError:
        raise ValueError(f"there is no release {name}; use {', '.join(RELEASES)} or good-N") from None
