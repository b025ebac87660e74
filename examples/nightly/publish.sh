#!/bin/sh
# Stands for the publication: it gets {"day":..., "rows":...}.
set -eu
echo "published $GEARTRAIN_ARGS"
