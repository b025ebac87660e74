package history

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/geartrain/geartrain/flow"
	"github.com/geartrain/geartrain/flow/runs"
	"github.com/geartrain/geartrain/flow/value"
)

// ItemNote is an item of a run, for people and for JSON.
type ItemNote struct {
	Place     int             `json:"index"`
	Item      json.RawMessage `json:"item"`
	Arguments json.RawMessage `json:"arguments"`
	Key       string          `json:"key"`
	Outcome   flow.Outcome    `json:"outcome"`
	Reason    string          `json:"reason,omitempty"`
	Message   string          `json:"message,omitempty"`
}

func noteOf(it *runs.Item) ItemNote {
	return ItemNote{
		Place: it.Place, Item: shown(it.Item), Arguments: shown(it.Arguments), Key: it.Key,
		Outcome: it.Outcome, Reason: it.Reason, Message: it.Message,
	}
}

// shown is data as JSON; null when they were too large to be kept.
func shown(d flow.Datum) json.RawMessage {
	if !isKept(d) {
		return json.RawMessage("null")
	}
	return d.JSON()
}

// hash tells data apart in little memory.
type hash [16]byte

func hashOf(kind string, p []byte) hash {
	sum := sha256.New()
	sum.Write([]byte(kind + ":"))
	sum.Write(p)
	return hash(sum.Sum(nil))
}

// argumentsHash is equal for arguments that give the same key.
func argumentsHash(it *runs.Item) hash {
	if h, ok := datumHash(it.Arguments); ok {
		return h
	}
	raw, _ := hex.DecodeString(it.ArgumentsHash) // it is what runs made
	return hashOf("large", raw)
}

// datumHash is that of data that were kept.
func datumHash(d flow.Datum) (hash, bool) {
	if d.Kind == flow.KeyJSON {
		v, err := value.DecodeJSON(d.Raw)
		if err != nil {
			return hash{}, false
		}
		canonical, err := value.Canonical(v)
		return hashOf("json", canonical), err == nil
	}
	return hashOf(string(d.Kind), d.Raw), isKept(d)
}

// isKept reports whether data are there, and not their hash alone.
func isKept(d flow.Datum) bool { return d.Raw != nil || d.Kind == flow.KeyNone }

// valueOf is data as a JSON value.
func valueOf(d flow.Datum) any {
	switch d.Kind {
	case flow.KeyJSON:
		if v, err := value.DecodeJSON(d.Raw); err == nil {
			return v
		}
	case flow.KeyText, flow.KeyBytes:
		return string(d.Raw)
	}
	return nil
}

// isGood reports whether an item has a result.
func isGood(o flow.Outcome) bool {
	return o == flow.OutcomeDone || o == flow.OutcomeAnswered || o == flow.OutcomeJoined
}

// stageAt is what a run has recorded of a stage up to one of its starts; 0: the last.
func stageAt(r *runs.Run, stage string, start int) (flow.StageRecord, error) {
	record, ok, err := r.Stage(stage, start)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %q in run %s", ErrNoStage, stage, r.Record.ID)
	}
	return record, err
}
