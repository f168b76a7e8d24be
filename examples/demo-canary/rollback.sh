#!/bin/sh
# Put the stable release on the canary's machine. Each start leaves a line behind, so that the demo can count them.
set -eu
here=$(CDPATH='' cd -P "${0%/*}" && pwd)
echo "$FREEZELINE_FACT_RELEASE" >>"$here/rollbacks.log"
stable=$(cat "$here/stable/release")
FREEZELINE_FACT_RELEASE=$stable "$here/deploy.sh"
echo "the canary's machine runs $stable"
