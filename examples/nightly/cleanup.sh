#!/bin/sh
echo "cleaned up after $GEARTRAIN_STATUS"
