#!/bin/sh
# Undo a rollback: let the canary run the release that was taken back.
set -eu
here=$(CDPATH='' cd -P "${0%/*}" && pwd)
"$here/deploy.sh" "$(cat "$here/taken-back")"
