package gallery

import (
	"bytes"
	"context"
	"fmt"

	"github.com/a-h/templ"

	"lockstep/components"
)

// The files.
const (
	index  = "index.html"
	style  = "lockstep.css"
	script = "lockstep.js"
)

// Export returns the gallery as files, by their names: the page, the style sheet and the script.
// The page finds the others beside it, so they work below any address, and as files of a folder.
func Export(ctx context.Context) (map[string][]byte, error) {
	document := components.Document(components.DocumentProps{
		Title:       "Components · Lockstep",
		Description: Description,
		Styles:      []string{style},
		Scripts:     []string{script},
	})
	var b bytes.Buffer
	if err := document.Render(templ.WithChildren(ctx, Page(nil)), &b); err != nil {
		return nil, fmt.Errorf("gallery: %w", err)
	}
	return map[string][]byte{
		index:  b.Bytes(),
		style:  []byte(components.StyleSheet()),
		script: []byte(components.Script()),
	}, nil
}
