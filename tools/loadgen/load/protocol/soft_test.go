package protocol_test

import (
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"lockstep/tools/loadgen/load/protocol"
)

func TestABoardIsReadAndCastAt(t *testing.T) {
	l := protocol.Lockstep{Kind: protocol.Board}
	u := &url.URL{Scheme: "http", Host: "x"}
	v, err := l.Open(u, http.Header{}, []byte(`<main hx-ws:connect="/ws" data-user="0123456789"><section data-topic="soft:a"></section></main>`))
	if err != nil || !v.Known || v.Topic != "soft:a" {
		t.Fatalf("got %+v, %v", v, err)
	}
	if _, err := l.Open(u, http.Header{}, []byte(`<main hx-ws:connect="/ws"></main>`)); err == nil {
		t.Error("a page without a board is taken for one")
	}
	for _, c := range []struct{ got, want string }{
		{string(l.Hello(&v, "c", protocol.State{})), `{"hello":2,"client":"c"}`},
		{string(l.Cast(&v, "k1", protocol.Spot{X: 5, Y: 1000, Types: true})), `{"cast":"here","t":"soft:a","in":{"tab":"k1","x":5,"y":1000,"types":true}}`},
		{string(l.Cast(&v, "k1", protocol.Spot{})), `{"cast":"here","t":"soft:a","in":{"tab":"k1"}}`},
		{l.Owner(&v, "k1"), "01234567.k1"},
		{l.Forget().String(), "10s"},
		{protocol.Lockstep{TTL: time.Second}.Forget().String(), "1s"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	message := `{"t":"soft:a","soft":{"n":7,"all":true,"is":{"a.b":{"x":1,"y":2}},"gone":["c.d"]}}`
	m, err := l.Read(&v, []byte(message))
	want := &protocol.Soft{N: 7, All: true, Is: map[string]protocol.Spot{"a.b": {X: 1, Y: 2}}, Gone: []string{"c.d"}, Size: len(message)}
	if err != nil || !reflect.DeepEqual(m.Soft, want) {
		t.Errorf("got %+v, %v, want %+v", m.Soft, err, want)
	}
	if m, err := l.Read(&v, []byte(`{"status":"live"}`)); err != nil || m.Soft != nil || m.Status != protocol.StatusLive {
		t.Errorf("got %+v, %v of what is of no board", m, err)
	}
	if _, err := l.Read(&v, []byte(`{"soft":{"is":{"a":1}}}`)); err == nil {
		t.Error("a value that is none is read")
	}
}
