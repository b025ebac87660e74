#!/bin/sh
echo "ping $1"
