package redispubsub_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// rights is the rule that docs/backends.md has for a user, in words.
func rights(t testing.TB, user string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/backends.md")
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`(?m)^ACL SETUSER ` + user + ` on .*$`).FindString(string(text))
	if rule == "" {
		t.Fatalf("the page has no rights of %s", user)
	}
	return strings.Fields(rule)
}

// TestTheRightsOfTheDocumentation are enough, and each is needed, but for one
// that only helps.
func TestTheRightsOfTheDocumentation(t *testing.T) {
	single := testserver.Redis(t)
	single.Own()
	cluster := testserver.NewRedisCluster(t, 3, 0)
	for user, c := range map[string]struct {
		url     string
		servers []*testserver.Server
		either  []string // one of these is enough
	}{
		"broker":  {single.URL, []*testserver.Server{single}, []string{"+role", "+info"}},
		"sharded": {cluster.URL, cluster.Servers, []string{"+role", "+info"}},
		"classic": {cluster.URL + "?pubsub=classic", cluster.Servers, nil},
	} {
		t.Run(user, func(t *testing.T) {
			words := rights(t, user)
			i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, ">") })
			words[i] = ">hunter2"
			words = slices.Insert(words, 3, "reset")
			url := strings.Replace(c.url, "://", "://"+user+":hunter2@", 1)
			give(t, words, c.servers)
			if err := useAll(t, url); err != nil {
				t.Errorf("it is not enough: %v", err)
			}
			for _, without := range words[i+1:] {
				give(t, slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == without }), c.servers)
				err := useAll(t, url)
				if may := slices.Contains(c.either, without); (err == nil) != may {
					t.Errorf("without %s: got %v", without, err)
				}
			}
		})
	}
}

// give gives a user rights at servers.
func give(t *testing.T, words []string, servers []*testserver.Server) {
	t.Helper()
	var rule []any
	for _, w := range words {
		rule = append(rule, w)
	}
	for _, s := range servers {
		if err := clientOf(t, s.URL).Do(t.Context(), rule...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// useAll does all that a hub does, until the server has been asked for its role,
// and returns the first error.
func useAll(t *testing.T, url string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := newDriver(t, url).Open(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	const topic = "lockstep:counter:lobby"
	if err := conn.Subscribe(ctx, topic); err != nil {
		return err
	}
	if err := conn.Publish(ctx, topic, []byte("x")); err != nil {
		return err
	}
	if _, err := conn.Receive(ctx); err != nil {
		return err
	}
	return conn.Unsubscribe(ctx, topic)
}
