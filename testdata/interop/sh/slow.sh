#!/bin/sh
# A slow job: it lasts until the gate opens, and says which process it was. It leaves a file behind.
until [ -e "$GATE" ]; do sleep 0.01; done
echo "done $$"
: >"$GATE.done"
