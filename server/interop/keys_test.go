//go:build unix

package interop_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// keyDrivers print the key of each vector that standard input has as one JSON list, with the function
// that flow/KEYS.md gives their language. The probe needs the same modules.
var keyDrivers = map[string]struct{ program, probe, before, after string }{
	"perl": {"perl", "use B; use Encode; use JSON::PP; use Digest::SHA;", "", `
binmode STDOUT, ':utf8';
use JSON::PP;
my $all = JSON::PP->new->utf8->decode(join '', <STDIN>);
print job_key(@$_), "\n" for @$all;
`},
	"php": {"php", "<?php json_decode(hash('sha256', ''));", "<?php\n", `
foreach (json_decode(stream_get_contents(STDIN)) as $v) {
    echo job_key(...$v), "\n";
}
`},
	"python": {"python3", "import base64, hashlib, json", "", `
import sys
for v in json.load(sys.stdin.buffer):
    print(job_key(*v))
`},
}

// inexact is a JSON number that languages write in their own ways.
var inexact = regexp.MustCompile(`[0-9][.eE]|[0-9]{19}`)

// The programs of the documentation make the keys that pipelines do.
func TestKeysOfOtherLanguages(t *testing.T) {
	t.Parallel()
	var vectors []json.RawMessage
	var want []string
	files, err := filepath.Glob("../../testdata/keys/*.json")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var list []struct{ Function, Version, Scope, Kind, Arguments, Key json.RawMessage }
		require.NoError(t, json.Unmarshal(text, &list))
		for _, v := range list {
			if string(v.Kind) == `"json"` && inexact.Match(v.Arguments) {
				continue
			}
			vectors = append(vectors, bytes.Join([][]byte{[]byte("["), bytes.Join([][]byte{v.Function, v.Version, v.Scope, v.Kind, v.Arguments}, []byte(",")), []byte("]")}, nil))
			var key string
			require.NoError(t, json.Unmarshal(v.Key, &key))
			want = append(want, key)
		}
	}
	require.Greater(t, len(want), 15)
	input, err := json.Marshal(vectors)
	require.NoError(t, err)
	for language, driver := range keyDrivers {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			needs(t, driver.program)
			probe := exec.Command(driver.program)
			probe.Stdin = strings.NewReader(driver.probe)
			if probe.Run() != nil {
				t.Skipf("what %s needs for keys is not installed", driver.program)
			}
			script := filepath.Join(t.TempDir(), "key")
			require.NoError(t, os.WriteFile(script, []byte(driver.before+documented(t, language)+driver.after), 0o600))
			cmd := exec.Command(driver.program, script)
			cmd.Stdin = bytes.NewReader(input)
			require.Equal(t, want, strings.Fields(run(t, cmd)))
		})
	}
}

// documented is the program of a language in flow/KEYS.md.
func documented(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../flow/KEYS.md")
	require.NoError(t, err)
	_, program, found := strings.Cut(string(text), "```"+language+"\n")
	require.True(t, found)
	program, _, found = strings.Cut(program, "\n```")
	require.True(t, found)
	return program + "\n"
}
