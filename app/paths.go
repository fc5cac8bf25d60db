package app

import (
	"maps"
	"slices"
	"strings"

	"lockstep/components"
)

// Lobby is the topic of the start page.
const Lobby = "counter:lobby"

// Prefix is what the paths of a kind's pages begin with, without slashes.
func Prefix(kind string) string {
	if kind == "counter" {
		return "c"
	}
	return kind
}

// Called is what people call one of a kind.
func Called(kind string) string {
	if kind == softKind {
		return "board"
	}
	return kind
}

// Path is the address of a topic's page, below that of the application.
func Path(topic string) string {
	if topic == Lobby {
		return "/"
	}
	kind, name, _ := strings.Cut(topic, ":")
	return "/" + Prefix(kind) + "/" + name
}

// Elsewhere are links to a page of each other kind, each of which is named like the
// start page. address makes that of a topic's page.
func (a *App) Elsewhere(kind string, address func(topic string) string) []components.Link {
	var links []components.Link
	for _, other := range slices.Sorted(maps.Keys(a.families)) {
		if other != kind {
			links = append(links, components.Link{To: address(other + ":lobby"), Text: "A " + other})
		}
	}
	return links
}
