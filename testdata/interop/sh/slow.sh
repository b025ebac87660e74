#!/bin/sh
# A slow job: it lasts until the gate opens, and says which process it was. It leaves a file behind.
cat "$GATE" >/dev/null
echo "done $$"
: >"$GATE.done"
