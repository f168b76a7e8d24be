#!/bin/sh
# Make a release the live one: the switch follows the file `release`. Usage: deploy.sh v1|v2
set -eu
here=$(CDPATH='' cd -P "${0%/*}" && pwd)
case $1 in
v1 | v2) ;;
*)
    echo "deploy.sh: no release $1" >&2
    exit 2
    ;;
esac
printf '%s\n' "$1" >"$here/release.new"
mv "$here/release.new" "$here/release"
