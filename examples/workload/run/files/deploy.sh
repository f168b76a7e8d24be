#!/bin/sh
# deploy.sh RELEASE: let the treatment run a release, and wait until the release answers.
set -eu
here=$(CDPATH='' cd -P "${0%/*}" && pwd)
printf '%s\n' "$1" >"$here/treatment/release.new"
mv "$here/treatment/release.new" "$here/treatment/release"
until [ "$(cat "$here/treatment/running")" = "$1" ]; do sleep 0.1; done
