package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/geartrain/geartrain/gearman"
)

// doctorCommand is `geartrain doctor`: what a job server promises, and what that means.
type doctorCommand struct {
	std     *streams
	logging *logFlags
	servers serverFlags
	asJSON  bool
	timeout time.Duration
}

func newDoctorCommand(std *streams, logging *logFlags) *cobra.Command {
	d := &doctorCommand{std: std, logging: logging}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what the job servers guarantee, and what that means for a pipeline",
		Long: `Ask each server what it guarantees and say what that means for a pipeline. It works with any Gearman server: of one
that does not say, what is known of its kind is printed. Nothing is changed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	d.servers.register(flags)
	flags.BoolVar(&d.asJSON, "json", false, "print one JSON array")
	flags.DurationVar(&d.timeout, "timeout", 30*time.Second, "how long all of it may take")
	return cmd
}

func (d *doctorCommand) run(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	client, err := newClient(d.std, d.logging, d.servers.orDefault())
	if err != nil {
		return err
	}
	defer client.Close()
	all, failed := client.Guarantees(ctx)
	if len(all) == 0 {
		return interrupted(ctx, failed)
	}
	if d.asJSON {
		return errors.Join(interrupted(ctx, failed), printJSON(d.std.out, all))
	}
	for i, g := range all {
		if i > 0 {
			fmt.Fprintln(d.std.out)
		}
		fmt.Fprintf(d.std.out, "%s: %s\n\n", visible(g.Server), visible(nameOf(g)))
		if err := printTable(d.std.out, "GUARANTEE ANSWER MEANING", findings(g)); err != nil {
			return err
		}
	}
	return interrupted(ctx, failed)
}

func nameOf(g gearman.Guarantees) string {
	kind := "a stock Gearman server"
	if g.Extension {
		kind = "geartrain"
	}
	if g.Version == "" {
		return kind
	}
	return kind + ", version " + g.Version
}

// finding is one line of the doctor's.
type finding struct{ name, answer, meaning string }

func (f finding) cells() []string { return []string{f.name, f.answer, f.meaning} }

func findings(g gearman.Guarantees) []adminRow {
	rows := stateOf(g)
	return append(rows, durability(g), retention(g), payloadGuard(g), cancelling(g), attaching(g), retrying(g))
}

// stateOf is a line for a server that is not as it should be.
func stateOf(g gearman.Guarantees) []adminRow {
	meaning := ""
	switch g.State {
	case "", "ready":
		return nil
	case "loading":
		meaning = "it reads what it has stored; jobs are taken and handed out when that is done"
	case "full":
		meaning = "there is no room to store jobs: they are refused with DISK_FULL until there is; what it has goes on"
	case "failed":
		meaning = "it cannot store jobs any more and refuses them with STORE_FAILED; start it again"
	case "draining":
		meaning = "it ends, and takes no new jobs"
	}
	return []adminRow{finding{"state", g.State, meaning}}
}

func durability(g gearman.Guarantees) finding {
	f := finding{"durable", string(g.Durable), ""}
	if g.Durable == gearman.Yes && g.Sync != "" {
		f.answer += ", sync " + g.Sync
	}
	switch {
	case g.Durable == gearman.Unknown:
		f.meaning = "background jobs outlive the server only with a queue plugin (-q), and it does not say whether it has one"
	case g.Durable != gearman.Yes:
		f.meaning = "jobs are gone when the server ends; a run submits its own again, nobody does so for background jobs" +
			hint(g, "geartrain server --data DIR")
	case g.Sync == "" || g.Sync == "always":
		f.meaning = "an accepted background job outlives the server, and a power failure"
	case strings.HasPrefix(g.Sync, "interval"):
		f.meaning = "an accepted background job outlives the server; a power failure can cost those of the last interval"
	default:
		f.meaning = "an accepted background job outlives the server; a power failure can cost what the system had not written"
	}
	return f
}

// hint says how to get more from a server of ours.
func hint(g gearman.Guarantees, command string) string {
	if !g.Extension {
		return ""
	}
	return "; see: " + command
}

func retention(g gearman.Guarantees) finding {
	if g.Retention != gearman.Yes {
		return finding{"retention", string(g.Retention),
			"a run that is started again does its work again, unless its own journal has the answers; a key is free when its job ends"}
	}
	return finding{"retention", "yes, " + g.Retained,
		"a run that is started again is answered from the results that are kept, and does only the rest"}
}

func payloadGuard(g gearman.Guarantees) finding {
	f := finding{"payload guard", g.PayloadGuard, ""}
	switch {
	case g.PayloadGuard == "reject":
		f.meaning = "a second payload under a key in use is refused"
	case g.PayloadGuard != "":
		f.meaning = "a second payload under a key in use is counted and logged; the first one counts, unless the task says to refuse it"
	default:
		f.answer, f.meaning = "no", "two payloads under one key are one job, and nobody is told; let keys cover all that decides the result"
	}
	return f
}

func cancelling(g gearman.Guarantees) finding {
	f := finding{"cancel", string(g.Cancel), ""}
	switch g.Cancel {
	case gearman.Yes:
		f.meaning = "to cancel a run ends its queued and its running jobs"
	case gearman.Partly:
		f.meaning = "queued jobs can be ended, by handle; running ones go on to their end"
	default:
		f.meaning = "jobs cannot be ended; who cancels a run only stops waiting"
	}
	return f
}

func attaching(g gearman.Guarantees) finding {
	f := finding{"attach", string(g.Attach), ""}
	switch g.Attach {
	case gearman.Yes:
		f.meaning = "who waits for a key never starts its work"
	case gearman.Partly:
		f.meaning = "who waits for a key starts its work again if the job ends at that very moment"
	default:
		f.meaning = "a job can be joined only by submitting it"
	}
	return f
}

func retrying(g gearman.Guarantees) finding {
	f := finding{"retries", string(g.Retries), ""}
	switch g.Retries {
	case gearman.Yes:
		f.meaning = "the server tries failed jobs again where it is asked to"
		if g.Durable == gearman.Yes {
			f.meaning += ", counted over its restarts"
		}
	case gearman.Partly:
		f.meaning = "jobs of lost workers are handed out again; failed ones are the client's to try again, in the background nobody's"
	default:
		f.meaning = "failed jobs are the client's to try again, in the background nobody's"
	}
	return f
}
