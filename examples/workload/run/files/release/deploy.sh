#!/bin/sh
# deploy.sh RELEASE: let the canary run a release, and wait until the release answers. The engine of a rollout names the
# release by a variable.
set -eu
here=$(CDPATH='' cd -P "${0%/*}" && pwd)
release=${1:-$FREEZELINE_FACT_RELEASE}
printf '%s\n' "$release" >"$here/canary/release.new"
mv "$here/canary/release.new" "$here/canary/release"
until [ "$(cat "$here/canary/running")" = "$release" ]; do sleep 0.1; done
