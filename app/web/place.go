package web

import (
	"strings"

	"lockstep/app"
)

// topicAt returns the topic whose page, or form, is at a path.
func topicAt(path string) (topic string, ok bool) {
	if path == "/" {
		return app.Lobby, true
	}
	for _, kind := range app.KindNames() {
		rest, ok := strings.CutPrefix(path, "/"+app.Prefix(kind)+"/")
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
