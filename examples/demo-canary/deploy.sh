#!/bin/sh
# Put a release on the canary's machine, and wait until the release runs there. The engine names the release, and ends
# this script after its timeout.
set -eu
here=$(CDPATH='' cd -P "${0%/*}" && pwd)
printf '%s\n' "$FREEZELINE_FACT_RELEASE" >"$here/canary/release.new"
mv "$here/canary/release.new" "$here/canary/release"
until [ "$(cat "$here/canary/running")" = "$FREEZELINE_FACT_RELEASE" ]; do sleep 0.1; done
