#!/bin/sh
# Print the release of the treatment.
exec cat "${0%/*}/treatment/release"
