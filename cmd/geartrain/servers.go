package main

import (
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/geartrain/geartrain/flow"
)

// serverFlags is -S/--server, with the environment behind it.
type serverFlags struct{ given []string }

func (f *serverFlags) register(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&f.given, "server", "S", nil,
		"job server HOST:PORT, may be repeated (default $GEARTRAIN_SERVERS, then $GEARMAN_SERVERS)")
}

// named are the servers that flag or environment name, in this order of force; nil when neither does.
// The variables hold addresses separated by commas or spaces.
func (f *serverFlags) named() []string {
	if servers := splitServers(strings.Join(f.given, ",")); len(servers) > 0 {
		return servers
	}
	for _, name := range []string{"GEARTRAIN_SERVERS", "GEARMAN_SERVERS"} {
		if servers := splitServers(os.Getenv(name)); len(servers) > 0 {
			return servers
		}
	}
	return nil
}

// forFile is named, or else what the pipeline file says.
func (f *serverFlags) forFile(plan *flow.Plan) []string {
	if servers := f.named(); servers != nil {
		return servers
	}
	return plan.Servers
}

// orDefault is named, or the default port on this machine.
func (f *serverFlags) orDefault() []string {
	if servers := f.named(); len(servers) > 0 {
		return servers
	}
	return []string{"127.0.0.1:4730"}
}

func splitServers(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}
