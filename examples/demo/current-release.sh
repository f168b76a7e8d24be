#!/bin/sh
# Print the release that is live.
exec cat "$(dirname "$0")/release"
