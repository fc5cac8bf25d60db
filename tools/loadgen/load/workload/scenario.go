package workload

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"
)

// ParseScenario reads a plan as YAML. Its keys are the yaml names of Plan and Stage; durations
// have a unit, rates are as in ParseRate. An unknown key is an error, with its line.
func ParseScenario(text []byte) (Plan, error) {
	var p Plan
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&p); err != nil && !errors.Is(err, io.EOF) {
		return Plan{}, fmt.Errorf("workload: scenario: %w", err)
	}
	if err := p.Validate(); err != nil {
		return Plan{}, fmt.Errorf("workload: scenario: %w", err)
	}
	return p, nil
}
