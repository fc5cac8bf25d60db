package main

import (
	"strings"
	"testing"
)

func TestTheProseOfAPageIsWrapped(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("word ", 30))
	first, rest := long[:99], strings.TrimSpace(long[99:])
	tests := []struct{ name, page, want string }{
		{"a paragraph", long, first + "\n" + rest},
		{"an item", "- " + long, "- " + first[:94] + "\n  word " + rest},
		{"a table", "| " + long, "| " + long},
		{"code", "```\n" + long + "\n```\n" + long, "```\n" + long + "\n```\n" + first + "\n" + rest},
	}
	for _, test := range tests {
		if got := wrapped(test.page); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
