#!/bin/sh
# Print the release that is live.
exec cat "${0%/*}/release"
