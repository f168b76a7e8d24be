#!/bin/sh
# Print the release on the canary's machine.
exec cat "${0%/*}/canary/release"
