package web

import (
	"strings"

	"lockstep/app"
)

// lobby is the topic of the page at "/".
const lobby = "counter:lobby"

// prefixOf is what the paths of a kind's pages begin with, without slashes.
func prefixOf(kind string) string {
	if kind == "counter" {
		return "c"
	}
	return kind
}

// pagePath is the address of a topic's page, below the base path.
func pagePath(topic string) string {
	if topic == lobby {
		return "/"
	}
	kind, name, _ := strings.Cut(topic, ":")
	return "/" + prefixOf(kind) + "/" + name
}

// topicAt returns the topic whose page, or form, is at a path.
func topicAt(path string) (topic string, ok bool) {
	if path == "/" {
		return lobby, true
	}
	for _, kind := range app.KindNames() {
		rest, ok := strings.CutPrefix(path, "/"+prefixOf(kind)+"/")
		if name, _, _ := strings.Cut(rest, "/"); ok && app.ValidName(name) {
			return kind + ":" + name, true
		}
	}
	return "", false
}

// nameOf returns the name in a topic.
func nameOf(topic string) string {
	_, name, _ := strings.Cut(topic, ":")
	return name
}
