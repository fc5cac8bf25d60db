package app

import (
	"maps"
	"slices"
	"strings"

	"lockstep/app/pages"
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

// Home is the topic that is shown of a kind when none is asked for.
func Home(kind string) string {
	if kind == "list" {
		return "list:todos"
	}
	return kind + ":lobby"
}

// Elsewhere are links to a page of each other kind, its home. address makes that of a topic's page.
func (a *App) Elsewhere(kind string, address func(topic string) string) []pages.Link {
	var links []pages.Link
	for _, other := range slices.Sorted(maps.Keys(a.shows)) {
		if other != kind {
			links = append(links, pages.Link{To: address(Home(other)), Text: "A " + other})
		}
	}
	return links
}

// Scripts are the names of those, in package static, that the pages of a kind load beside
// app.js, in their order.
func Scripts(kind string) []string {
	all := []string{"around.js"}
	switch kind {
	case "list":
		all = append(all, "list.js")
	case "log":
		all = append(all, "list.js", "log.js") // log.js goes on where list.js ends
	case softKind:
		all = append(all, "soft.js")
	case "signup":
		all = append(all, "forms.js")
	}
	return all
}

// Styles are the names of the style sheets that they load beside app.css.
func Styles(kind string) []string {
	all := []string{"around.css"}
	switch kind {
	case "list", "log":
		all = append(all, "lists.css")
	case softKind:
		all = append(all, "soft.css")
	case "signup":
		all = append(all, "forms.css")
	}
	return all
}
