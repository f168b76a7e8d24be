#!/bin/sh
# Print the release of the canary.
exec cat "${0%/*}/canary/release"
