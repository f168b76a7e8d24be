#!/bin/sh
# Exit 0 when the canary runs the release of the stable side, 1 when it does not.
here=${0%/*}
test "$(cat "$here/canary/running")" = "$(cat "$here/stable/release")"
