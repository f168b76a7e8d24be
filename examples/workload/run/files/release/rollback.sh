#!/bin/sh
# Let the canary run the release of the stable side, and keep the name of the release that was taken back.
set -eu
here=$(CDPATH='' cd -P "${0%/*}" && pwd)
cp "$here/canary/release" "$here/taken-back"
"$here/deploy.sh" "$(cat "$here/stable/release")"
