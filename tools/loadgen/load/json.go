package load

import (
	"encoding/json"
	"fmt"
	"io"
)

// WriteJSON writes r as ReportSchema says, indented, with a line end.
func WriteJSON(w io.Writer, r *Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("load: write JSON: %w", err)
	}
	return nil
}
