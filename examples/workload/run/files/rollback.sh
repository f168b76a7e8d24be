#!/bin/sh
# Let the treatment run the release of the control.
set -eu
here=$(CDPATH='' cd -P "${0%/*}" && pwd)
"$here/deploy.sh" "$(cat "$here/control/release")"
