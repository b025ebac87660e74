#!/bin/sh
# Stands for a load: it gets {"day":..., "region":..., "table":...} and says how many rows there were.
set -eu
: "${WAREHOUSE_DSN:?}"
field() { printf '%s' "$GEARTRAIN_ARGS" | sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
table=$(field table) region=$(field region)
rows=$(($(wc -c <"sql/$table.sql") + ${#region}))
echo "::status 1/1" >&2
printf '{"region":"%s","table":"%s","rows":%d}\n' "$region" "$table" "$rows"
