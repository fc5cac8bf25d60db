package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

func opIDGuard() guard {
	return guard{"ids of ops, in the application", "app/counter.go", "case !counter.ValidOpID(op):", "case !WITHOUT && !counter.ValidOpID(op):"}
}

func storeOpGuard() guard {
	return guard{"ids of ops, in the store", "counter/counter.go", "case !ValidOpID(o.ID):", "case !WITHOUT && !ValidOpID(o.ID):"}
}

func repeatGuard() guard {
	return guard{"an op counts once", "counter/memcounter/memcounter.go", "if before || here {", "if !WITHOUT && (before || here) {"}
}

// wrongClicks are messages of a tab that look like clicks and are none.
func wrongClicks() []string {
	texts := []string{
		`{"action":"increment"}`, `{"op":"0123456789abcdef"}`, `{"action":null,"op":"0123456789abcdef"}`,
		`{"action":["increment"],"op":"0123456789abcdef"}`, `{"action":"increment","op":{"a":"0123456789abcdef"}}`,
		`{"action":"increment","op":12345678901234567890}`, `{"action":"Increment","op":"0123456789abcdef"}`,
		`{"action":"__proto__","op":"0123456789abcdef"}`, `{"action":"constructor","op":"0123456789abcdef"}`,
		`{"action":"set","n":666,"op":"0123456789abcdef"}`, `{"Action":"increment","OP":"0123456789abcdef"}`,
		`{"action":"increment","op":"0123456789abcdef","age":1e99}`, `{"action":"increment","op":"0123456789abcdef","age":900}`,
		`[{"action":"increment","op":"0123456789abcdef"}]`, `{"action":"increment","op":"0123456789abcdef"}{}`,
	}
	for _, op := range wrongOps() {
		texts = append(texts, clickText(op))
	}
	return texts
}

// wrongOps are not ids of ops.
func wrongOps() []string {
	return []string{
		"short", strings.Repeat("x", 65), strings.Repeat("x", 2000), "0123456789 abcdef", "0123456789:abcdef", "0123456789é-abcdef",
		"<img src=x onerror=alert(1)>", "'; DROP TABLE counters; --", "../../../../etc/passwd", "{{constructor.constructor}}",
	}
}

// opAttacks try to reach the ops of others, or to count by what is not one.
func opAttacks() []attack {
	return []attack{
		{
			name: "an op that another tab has sent, once more", guards: []guard{repeatGuard()},
			run: func(v *target) error {
				op := newOp()
				for _, addr := range []string{honest, hostile, hostile} {
					ws := v.from(addr).connect("lobby")
					ws.text(clickText(op))
					if m := ws.verdict(); len(m.Ack) == 0 {
						v.Fatalf("the op is %s", m)
					}
				}
				if n := v.count("lobby"); n != 1 {
					return fmt.Errorf("one op counts %d times", n)
				}
				return nil
			},
		},
		{
			name: "the ops of others overheard", why: "answers are written to the tab that asked, and states have no ids of ops in them", run: overhear,
		},
		{
			name: "ids and actions that are none", guards: []guard{opIDGuard(), storeOpGuard()},
			run: func(v *target) error {
				for _, text := range wrongClicks() {
					if err := slip(v, masked(finText, []byte(text))); err != nil {
						return fmt.Errorf("%.60s: %w", text, err)
					}
				}
				return nil
			},
		},
		{
			name: "states in a message of a tab", why: "what a tab says of states is not read",
			run: func(v *target) error {
				ws, other := v.from(hostile).connect("lobby"), v.from(honest).connect("lobby")
				ws.text(`{"hello":1,"e":9007199254740991,"v":9007199254740991,"n":666,"t":"counter:lobby","state":"{\"n\":666}"}`)
				ws.text(`{"t":"counter:lobby","e":9007199254740991,"v":1,"swap":"none","content":"<b>666</b>"}`)
				other.text(clickText(newOp()))
				for {
					m := other.hear()
					if forged(m.Content + m.State) {
						return errors.New("another tab shows what this one said")
					}
					if len(m.Ack) > 0 {
						return nil
					}
				}
			},
		},
	}
}

// overhear listens in a second tab, and on pages, while a first one clicks and
// is refused.
func overhear(v *target) error {
	first, second := v.from(honest).connect("lobby"), v.from(hostile).connect("lobby")
	second.text(`{"hello":1,"as":"data"}`)
	third := v.from(hostile).connect("lobby")
	const refused = "refused-op-of-somebody-else"
	var ops []string
	for range 20 {
		op := newOp()
		ops = append(ops, op)
		first.text(clickText(op))
		if m := first.verdict(); len(m.Ack) != 1 || m.Ack[0] != op {
			v.Fatalf("the op is %s", m)
		}
	}
	first.text(fmt.Sprintf(`{"action":"nobody","op":%q}`, refused))
	if m := first.verdict(); m.Op != refused {
		v.Fatalf("the op is %s", m)
	}
	ops = append(ops, refused)
	for _, ws := range []*rawSocket{second, third} {
		if err := overheard(ws, ops); err != nil {
			return err
		}
	}
	page := v.from(hostile).get("/c/lobby").body + v.from(hostile).get("/readyz").body
	_, metrics := get(v, v.admin+"/metrics")
	_, index := get(v, v.admin+"/debug/")
	for _, op := range ops {
		if strings.Contains(page+metrics+index+v.p.out.String(), op) {
			return fmt.Errorf("a page or the log names the op %s", op)
		}
	}
	return nil
}

// overheard reads all that a tab has been sent until it shows the last count.
func overheard(ws *rawSocket, ops []string) error {
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, payload, err := ws.next()
		if err != nil {
			return fmt.Errorf("a tab was cut off: %w", err)
		}
		for _, op := range ops {
			if strings.Contains(string(payload), op) {
				return fmt.Errorf("another tab is told of the op %s", op)
			}
		}
		if text := string(payload); strings.Contains(text, `data-count=\"20\"`) || strings.Contains(text, `\"n\":20,`) {
			return nil
		}
	}
}
