#!/bin/sh
# Take the live release back: put v1 in the place of whatever is live. Each start leaves a line behind, so that the
# demo can count them.
set -eu
here=$(CDPATH='' cd -P "${0%/*}" && pwd)
echo "episode ${FREEZELINE_FACT_EPISODE:-unknown}, release $(cat "$here/release")" >>"$here/rollbacks.log"
echo "taking back $(cat "$here/release")"
"$here/deploy.sh" v1
echo "v1 is live"
