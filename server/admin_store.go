package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/geartrain/geartrain/server/queue"
	"github.com/geartrain/geartrain/server/store"
)

// guarantees says what the server promises, a name and a value in each line. Names that a reader does
// not know are to be left alone, and there may be several lines of one name.
func guarantees(c *conn, _ []string) string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%s\t%s\n", name, oneLine(value)) }
	stats := c.turn.storeStats()
	if stats.Durable && c.turn.failure == nil {
		line("durable", "yes")
		line("sync", stats.Sync)
	} else {
		line("durable", "no")
	}
	for _, p := range c.server.cfg.Queue.Policies {
		if p.Retain > 0 {
			line("retention", p.Pattern)
		}
	}
	line("retention", "per task")
	line("cancel", "yes")
	line("attach", "yes")
	line("retries", "yes")
	line("payload-guard", payloadGuard(c.server.cfg.Queue.Policies))
	line("state", c.turn.storeState())
	return b.String() + listEnd
}

// payloadGuard is what becomes of a key with two payloads.
func payloadGuard(policies []queue.Policy) string {
	var rejected []string
	for _, p := range policies {
		if p.Conflict == queue.Reject {
			rejected = append(rejected, p.Pattern)
		}
	}
	switch {
	case len(rejected) == 0:
		return "count"
	case len(rejected) == 1 && rejected[0] == "*":
		return "reject"
	}
	return "reject for " + strings.Join(rejected, " ") + ", else count"
}

func (c *committer) storeStats() store.Stats {
	if c.store == nil {
		return store.Stats{}
	}
	return c.store.Stats()
}

// storeState is how the store is, in one word.
func (t *turn) storeState() string {
	switch {
	case t.loading:
		return "loading"
	case t.failure != nil:
		return "failed"
	case t.full:
		return "full"
	case t.draining != nil:
		return "draining"
	}
	return "ready"
}

// showScheduled: handle, function, key, when it is due in unix seconds.
func showScheduled(c *conn, _ []string) string {
	return c.jobs(func(b *strings.Builder, j *queue.JobInfo) {
		if j.State == queue.Scheduled {
			fmt.Fprintf(b, "%s\t%s\t%s\t%d\n", j.Handle, oneLine(j.Function), oneLine(j.Unique), j.RunAt.Unix())
		}
	})
}

// showRetained: function, key, bytes, seconds since its job ended, seconds until it is forgotten.
func showRetained(c *conn, _ []string) string {
	from := func(place uint32) iter.Seq2[uint32, queue.ResultInfo] {
		return c.turn.state.ResultsFrom(c.turn.now, place)
	}
	return places(c, from, func(b *strings.Builder, r *queue.ResultInfo) {
		fmt.Fprintf(b, "%s\t%s\t%d\t%d\t%d\n", oneLine(r.Function), oneLine(r.Unique), r.Size,
			int64(r.Age.Seconds()), int64(r.Left.Seconds()))
	})
}

// Why there is no back-up.
var (
	errNoBackup   = errors.New("back-ups are not allowed; start the server with --backup-dir and the folder for them")
	errFarBackup  = errors.New("back-ups are made for peers on this machine only")
	errBackupPath = errors.New("the folder must lie in the server's --backup-dir")
)

// backup DIR writes a copy of the store into a new folder, while the server runs.
func backup(c *conn, args []string) string {
	if len(args) != 1 {
		return missing("backup")
	}
	dir, err := c.backupDir(args[0])
	if err == nil {
		c.letGo() // it takes its time
		err = c.server.backup(dir)
		c.turn.begin()
	}
	if err != nil {
		return "ERR BACKUP " + plusses(err.Error()) + "\r\n"
	}
	return ok
}

// plusses is text as gearmand writes it into one line of an answer.
func plusses(text string) string { return strings.ReplaceAll(oneLine(text), " ", "+") }

// backupDir is the folder that a peer may have a copy written to, relative to the root for back-ups.
func (c *conn) backupDir(dir string) (string, error) {
	root := c.server.cfg.BackupRoot
	switch {
	case c.server.cfg.Store == nil:
		return "", errors.New("the queues are in memory; start the server with --data and a folder")
	case root == "":
		return "", errNoBackup
	case c.address.IsValid() && !c.address.IsLoopback():
		return "", errFarBackup
	}
	if filepath.IsAbs(dir) {
		inside, err := filepath.Rel(root, dir)
		if err != nil {
			return "", errBackupPath
		}
		dir = inside
	}
	if !filepath.IsLocal(dir) || filepath.Clean(dir) == "." {
		return "", errBackupPath
	}
	return dir, nil
}

// backup makes the folder within the root, whatever symbolic links there are, and fills it.
func (s *Server) backup(dir string) error {
	root, err := os.OpenRoot(s.cfg.BackupRoot)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.group.Go(func() {
		select {
		case <-s.closed:
			cancel()
		case <-ctx.Done():
		}
	})
	return s.cfg.Store.Backup(ctx, filepath.Join(s.cfg.BackupRoot, dir))
}
