#!/bin/sh
# Exit 0 when the canary's machine runs the stable release, 1 when it does not.
here=${0%/*}
test "$(cat "$here/canary/running")" = "$(cat "$here/stable/release")"
