package main

import (
	"os"

	"github.com/geartrain/geartrain/flow"
)

// readSecrets finds the values of a plan's secrets in the environment of this process.
func readSecrets(plan *flow.Plan) (*flow.Secrets, error) {
	secrets, err := flow.ReadSecrets(plan, os.LookupEnv)
	if err != nil {
		return nil, usageError("%w; nothing was run", err)
	}
	return secrets, nil
}
