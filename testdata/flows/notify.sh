#!/bin/sh
# What crawl-hooks.yaml does after a failure.
