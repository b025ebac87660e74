#!/bin/sh
echo "mail to $1: $2: $3"
