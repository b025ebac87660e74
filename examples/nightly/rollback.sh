#!/bin/sh
echo "took back $1"
