#!/bin/sh
# Exit 0 when v1 is live, 1 when it is not.
test "$(cat "${0%/*}/release")" = v1
