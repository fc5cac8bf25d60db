package constants_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"lockstep/static/internal/constants"
)

const source = `package p

import "time"

const (
	// SilenceTimeout is longer than MaxPause.
	SilenceTimeout = MaxPause + 500*time.Millisecond
	// MaxPause is a time.
	MaxPause = 2 * time.Second
	hidden   = "not exported"
)

// MaxOutbox is a number.
const MaxOutbox = 200
`

const script = `// Made from htmx/limits.go by "make generate": change it there.

// SILENCE_TIMEOUT is longer than MAX_PAUSE. In milliseconds.
export const SILENCE_TIMEOUT = 2500;

// MAX_PAUSE is a time. In milliseconds.
export const MAX_PAUSE = 2000;

// MAX_OUTBOX is a number.
export const MAX_OUTBOX = 200;
`

func tree(source string) fstest.MapFS {
	return fstest.MapFS{constants.Source: {Data: []byte(source)}}
}

func TestConstantsKeepTheirOrderAndComments(t *testing.T) {
	got, err := constants.Script(tree(source))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != script {
		t.Errorf("got\n%s\nwant\n%s", got, script)
	}
}

func TestWhatCannotBeSaidIsAnError(t *testing.T) {
	for name, src := range map[string]string{
		"a text":               "package p\n// A comment.\nconst Word = \"word\"",
		"half a number":        "package p\n// A comment.\nconst Half = 0.5",
		"a name of nothing":    "package p\n// A comment.\nconst Size = other.Size",
		"another package":      "package p\nimport \"math\"\n// A comment.\nconst Size = math.MaxInt8",
		"without its own word": "package p\nconst Size = 1",
		"not Go":               "const SIZE = 1;",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := constants.Script(tree(src)); err == nil || !strings.HasPrefix(err.Error(), "constants: ") {
				t.Errorf("got %q, %v, want an error", got, err)
			}
		})
	}
}
