package app

import "strings"

// Lobby is the topic of the start page.
const Lobby = "counter:lobby"

// Prefix is what the paths of a kind's pages begin with, without slashes.
func Prefix(kind string) string {
	if kind == "counter" {
		return "c"
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
