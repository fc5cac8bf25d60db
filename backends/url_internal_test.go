package backends

import "testing"

func TestAPlaceIsShownWithoutItsSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"redis://u:p@h:1/0":                  "redis://h:1",
		"postgres://u:p@ss@h:1/d?password=p": "postgres://h:1",
		"redis+cluster://u:p@a:1,b:2":        "redis+cluster://a:1,b:2",
		"rediss://h#p":                       "rediss://h",
		"nats://u:p@a:1,b:2?creds=x":         "nats://a:1,b:2",
		"amqps://u:p@a:1/v?sslcert=x":        "amqps://a:1",
	} {
		if got := placeOf(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestTheFileOfAStoreURL(t *testing.T) {
	for in, want := range map[string]string{"file:data/x.db": "data/x.db", "file:///var/x.db": "/var/x.db", "file:/var/x.db": "/var/x.db", "mem:": "", "redis://h/0": ""} {
		if got := File(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}
