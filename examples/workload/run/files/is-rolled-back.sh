#!/bin/sh
# Exit 0 when the treatment runs the release of the control, 1 when it does not.
here=${0%/*}
test "$(cat "$here/treatment/running")" = "$(cat "$here/control/release")"
