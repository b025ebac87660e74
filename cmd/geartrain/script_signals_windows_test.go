package main

import "os"

// scriptSignals are those that scripts send.
var scriptSignals = map[string]os.Signal{"INT": os.Interrupt}
