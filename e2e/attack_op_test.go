package e2e_test

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func clientGuard() guard {
	return guard{
		"a client is 128 bits", "view.go",
		"if err != nil {\n\t\treturn op, state.ReasonBadOp", "if err != nil && !WITHOUT {\n\t\treturn op, state.ReasonBadOp",
	}
}

func seqGuard() guard {
	return guard{
		"a seq is one", "state/batcher.go",
		"case !s.op.valid() || CheckTopic(topic) != nil:", "case !WITHOUT && !s.op.valid() || CheckTopic(topic) != nil:",
	}
}

func repeatGuard() guard {
	return guard{
		"an op counts once", "state/store.go",
		"return m.Min <= l.Last && l.Last <= m.Max && bytes.Equal(m.Was, l.Refused)",
		"return WITHOUT && m.Min <= m.Max || m.Min <= l.Last && l.Last <= m.Max && bytes.Equal(m.Was, l.Refused)",
	}
}

func viewTopicGuard() guard {
	return guard{
		"a tab does something only where a page of its person was", "view.go",
		"if !ok || !v.mayUse(e) {", "if !ok || !WITHOUT && !v.mayUse(e) {",
	}
}

func grantGuard() guard {
	return guard{
		"a grant is of its session and topic", "serve/rooms.go",
		"return h.sign.validToken(forGrant,", "return WITHOUT && grant != \"\" || h.sign.validToken(forGrant,",
	}
}

func roomsGuard() guard {
	return guard{
		"the rooms of a socket are signed", "serve/rooms.go",
		`h.sign.signedBy(forRooms, in, q.Get("of")) < 0`, `!WITHOUT && h.sign.signedBy(forRooms, in, q.Get("of")) < 0`,
	}
}

func overdraftGuard() guard {
	return guard{
		"an account can't be overdrawn", "app/bank.go",
		"case b.Balances[in.From-1] < in.Amount:", "case !WITHOUT && b.Balances[in.From-1] < in.Amount:",
	}
}

func compareGuard() guard {
	return guard{
		"a state is set only if it is still the one that the next was computed from", "state/memstate/memstate.go",
		"holds := step.Base.Same(newest)", "holds := WITHOUT || step.Base.Same(newest)",
	}
}

// wrongClicks are messages of a tab that look like clicks and are none.
func wrongClicks(a *target) (texts []string) {
	with := func(op, rest string) {
		texts = append(texts, fmt.Sprintf(`{"op":%s,"seen":%d,%s}`, strings.ReplaceAll(op, "CLIENT", newClientID()), time.Now().UnixMilli(), rest))
	}
	topic, do, in := strconv.Quote(a.topic("lobby")), `"do":`+strconv.Quote(a.do), ""
	if a.in != nil {
		in = `,"in":` + asJSON(a.in)
	}
	of := func(topic string) string { return `"t":` + topic + `,` + do + in }
	doing := func(what string) string { return `"t":` + topic + `,"do":` + what + in }
	click := of(topic)
	for _, client := range wrongClients() {
		with(`[`+strconv.Quote(client)+`,1,1]`, click)
	}
	for _, op := range []string{
		`"CLIENT"`, `[]`, `null`, `["CLIENT"]`, `["CLIENT",1]`, `["CLIENT",1,1,1]`, `["CLIENT","1",1]`, `["CLIENT",-1,1]`, `["CLIENT",1.5,1]`, `["CLIENT",1e400,1]`,
		`["CLIENT",0,0]`, `["CLIENT",0,1]`, `["CLIENT",1,0]`, `["CLIENT",1,2]`, `["CLIENT",9007199254740992,9007199254740992]`, `["CLIENT",2,1]`,
		`["CLIENT",1000,1]`, `[null,1,1]`, `[["CLIENT"],1,1]`, `{"0":"CLIENT","1":1,"2":1}`,
	} {
		with(op, click)
	}
	for _, rest := range []string{
		do + in, `"t":` + topic, of(`7`), of(`"lobby"`), of(`"` + a.topic("") + `"`), of(`"` + strings.ToUpper(a.family) + `:lobby"`),
		of(`"` + a.topic("lobby ") + `"`), of(`"` + a.topic("lobby:x") + `"`),
		doing(`"` + strings.ToUpper(a.do) + `"`), doing(`"void"`), doing(`null`), doing(`["` + a.do + `"]`), doing(`"__proto__"`), doing(`"constructor"`),
		`"t":` + topic + `,"do":"set","in":{"n":"666"}`,
		click + `,"in":7`, click + `,"in":{"a":{}}`, click + `,"age":-1`, click + `,"age":1e99`, click + `,"age":2678400`, click + `,"seen":0`,
		click + `,"seen":"now"`, click + `,"seen":1`, click + `,"seen":9007199254740991`, click + `,"hello":2`, click + `,"fin":["CLIENT",1]`,
	} {
		with(`["CLIENT",1,1]`, rest)
	}
	whole := clickText(a.op("lobby"))
	return append(texts, "["+whole+"]", whole+"{}", strings.Replace(whole, `"op"`, `"OP"`, 1), strings.Replace(clickText(a.op("lobby")), `"seen"`, `"Seen"`, 1))
}

// wrongClients are not names of clients.
func wrongClients() []string {
	return []string{
		"", "short", strings.Repeat("x", 21), strings.Repeat("x", 22), strings.Repeat("A", 23), strings.Repeat("x", 2000), "0123456789 abcdefghijk",
		"0123456789:abcdefghijA", "0123456789é-abcdefghA", strings.Repeat("A", 22) + "==", "AAAAAAAAAAAAAAAAAAAA+A", "AAAAAAAAAAAAAAAAAAAAAB",
		"<img src=x onerror=alert(1)>", "'; DROP TABLE lockstep_lane; --", "../../../../etc/passwd", "{{constructor.constructor}}",
	}
}

// opAttacks try to reach the ops of others, or to count by what is not one.
func opAttacks() []attack {
	return []attack{
		{
			name: "an op that another tab has sent, once more", guards: []guard{repeatGuard()},
			run: func(v *victim) error {
				op := v.newOp()
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
			name: "clients, seqs, topics and actions that are none", guards: []guard{clientGuard(), seqGuard()},
			run: func(v *victim) error {
				for _, text := range wrongClicks(v.app) {
					if err := slip(v, masked(finText, []byte(text))); err != nil {
						return fmt.Errorf("%.60s: %w", text, err)
					}
				}
				return nil
			},
		},
		{
			name: "states in a message of a tab", why: "what a tab says of states is not read",
			run: func(v *victim) error {
				ws, other := v.from(hostile).connect("lobby"), v.from(honest).connect("lobby")
				lobby, false666 := strconv.Quote(v.topic("lobby")), v.app.falsehood(count{}, 9007199254740991, 9007199254740991)
				ws.text(`{"hello":2,"at":{` + lobby + `:[9007199254740991,9007199254740991]},"s":"1 666","t":` + lobby + `,"state":` + strconv.Quote(false666) + `}`)
				ws.text(`{"t":` + lobby + `,"e":9007199254740991,"v":1,"swap":"none","content":"<b>666</b> forged 666"}`)
				other.text(clickText(v.newOp()))
				for {
					m := other.hear()
					if v.app.shows.MatchString(m.Content + m.State) {
						return errors.New("another tab shows what this one said")
					}
					if len(m.Ack) > 0 {
						return nil
					}
				}
			},
		},
		{
			name: "an op for a topic that no page gave", guards: []guard{viewTopicGuard()},
			run: func(v *victim) error { return reaches(v, "") },
		},
		{
			name: "an op for a topic, with the grant of another topic, of another session, or a forged one", guards: []guard{grantGuard()},
			run: func(v *victim) error {
				theirs, own := v.from(honest).mustVisit(v.page("private")), v.from(hostile).mustVisit(v.page("lobby"))
				forged := forgeToken("a guess", "grant", own.session(), "counter:private")
				for _, grant := range []string{theirs.grants[v.topic("private")], own.grants[v.topic("lobby")], forged, "x"} {
					if err := reaches(v, grant); err != nil {
						return err
					}
				}
				return nil
			},
		},
		{
			name: "a socket of rooms that no page gave", guards: []guard{roomsGuard()}, refused: `lockstep_turned_away_total{reason="token"`, run: forgeRooms,
		},
		{
			name: "the client of somebody else, guessed", why: "it is 128 random bits, and nobody else is told", run: guessClient,
		},
		{
			name: "an account overdrawn by many tabs at once", needs: "bank", guards: []guard{overdraftGuard()}, run: overdraw(1),
		},
		{
			name: "money made by many tabs of two replicas at once", needs: "bank", flags: []string{"-replicas", "2"}, guards: []guard{compareGuard()}, run: overdraw(20),
		},
		{
			name: "a vote in somebody else's name", needs: "poll", why: "who votes is the session's, and nothing in a message says it", run: voteAsAnother,
		},
	}
}

// reaches returns an error if a tab that shows the lobby can click elsewhere with a grant.
func reaches(v *victim, grant string) error {
	p := v.from(hostile).mustVisit(v.page("lobby"))
	ws, status := v.from(hostile).upgrade(p.socket, "Cookie: "+p.cookie, "Origin: "+v.p.url)
	if ws == nil {
		v.Fatalf("no socket: %d", status)
	}
	defer ws.Close()
	op := v.newOpOn("private")
	op.grant = grant
	ws.text(clickText(op))
	if m := ws.verdict(); len(m.Ack) > 0 {
		return errors.New("it counts")
	} else if m.Refused == nil {
		v.Errorf("the op is %s", m)
	}
	return v.counted("private")
}

// forgeRooms asks for sockets of a topic by what was signed for another, or by nobody who may.
func forgeRooms(v *victim) error {
	lobby, private := v.app.rooms("lobby"), v.app.rooms("private")
	given, err := url.Parse(v.lobbyRooms())
	if err != nil {
		v.Fatal(err)
	}
	of := given.Query().Get("of")
	for _, q := range []url.Values{
		{"in": {private}, "of": {of}}, {"in": {lobby + "," + private}, "of": {of}}, {"in": {private}}, {"in": {private}, "of": {""}},
		{"in": {lobby, private}, "of": {of + "x"}}, {"in": {private, lobby}, "of": {of}},
		{"in": {private}, "of": {encoded(signed32("a guess", "rooms", private))}}, {"in": {private}, "of": {encoded(signed32(testSecret, "socket", private))}},
	} {
		ws, _ := v.from(hostile).upgrade(given.Path + "?" + q.Encode())
		if ws == nil {
			continue
		}
		ws.text(clickText(v.newOpOn("private")))
		m := ws.verdict()
		_ = ws.Close()
		if len(m.Ack) > 0 {
			return fmt.Errorf("%s leads to it, and a click counts", q.Encode())
		}
	}
	return v.counted("private")
}

// guessClient sends ops in the name of clients that are like that of somebody honest. Each of the
// honest one's clicks must count, and be answered.
func guessClient(v *victim) error {
	first, hostileOne := v.from(honest).connect("lobby"), v.from(hostile).connect("lobby")
	clicks := int64(0)
	for op := v.newOp(); op.Seq <= 20; op = op.next() {
		first.text(clickText(op))
		if m := first.verdict(); !m.acks(op.ID) {
			return fmt.Errorf("the honest click is %s", m)
		}
		clicks++
		for i, guess := range []string{newClientID(), "A" + op.Client[1:], strings.ToLower(op.Client), op.Client[:21] + "B", op.Client + "A", op.Client[1:], ""} {
			o := op.next() // it would take the place of the next
			if o.Client = guess; guess == op.Client {
				continue
			}
			hostileOne.text(clickText(o))
			m := hostileOne.verdict()
			if m.cut || m.code != 0 {
				v.Fatalf("guess %d is %s", i, m)
			}
			clicks += int64(len(m.Ack))
		}
	}
	if n := v.count("lobby"); n != clicks {
		return fmt.Errorf("%d clicks are acknowledged, and %d counted", clicks, n)
	}
	return nil
}

// overdraw has many tabs move more than there is out of an account, at once, in one bank after the
// other: replicas that take turns seldom compute from the same state.
func overdraw(banks int) func(*victim) error {
	return func(v *victim) error {
		for i := range banks {
			if err := overdrawOne(v, fmt.Sprintf("bank-%d", i)); err != nil {
				return err
			}
		}
		return nil
	}
}

// doAll sends an op and those that come next to it, n in all, and counts what is acknowledged. It
// returns with the answers, or the end of the connection.
func (v *victim) doAll(ws *rawSocket, op wireOp, n int, acked *atomic.Int64) {
	for range n {
		ws.text(clickText(op))
		op = op.next()
	}
	for answers := 0; answers < n; {
		m := ws.verdict()
		if m.cut || m.code != 0 || m.Retry {
			v.Errorf("what was done is %s", m)
			return
		}
		acked.Add(int64(len(m.Ack)))
		answers += max(len(m.Ack), 1)
	}
}

func overdrawOne(v *victim, bank string) error {
	const tabs, each = 20, 20 // four times what there is
	var moved atomic.Int64
	var all sync.WaitGroup
	for range tabs {
		ws := v.from(hostile).connectTo("/bank/" + bank)
		op := newOpOn("bank:" + bank)
		op.do, op.in = "transfer", map[string]string{"from": "1", "to": "2", "amount": "1"}
		all.Go(func() { v.doAll(ws, op, each, &moved) })
	}
	all.Wait()
	body := v.from(auditor).get("/bank/" + bank).body
	s, ok := banks().parse(body)
	if !ok {
		v.Fatalf("no bank in %s", body)
	}
	balances := strings.Fields(s.Value)
	if balances[0] != "0" || balances[1] != "200" || moved.Load() != 100 {
		return fmt.Errorf("%d transfers of 1 are acknowledged, and the accounts of 100 have %s and %s", moved.Load(), balances[0], balances[1])
	}
	return nil
}

// voteAsAnother votes, and says in all ways who somebody else is.
func voteAsAnother(v *victim) error {
	theirs, own := v.from(honest).mustVisit("/poll/lobby"), v.from(hostile).mustVisit("/poll/lobby")
	vote := func(ws *rawSocket, in, rest string) {
		v.Helper()
		ws.text(fmt.Sprintf(`{"op":[%q,1,1],"seen":%d,"t":"poll:lobby","do":"vote","in":%s%s}`, newClientID(), time.Now().UnixMilli(), in, rest))
		if m := ws.verdict(); len(m.Ack) == 0 {
			v.Fatalf("the vote is %s", m)
		}
	}
	open := func(addr string, p opened) *rawSocket {
		v.Helper()
		ws, status := v.from(addr).upgrade(p.socket, "Cookie: "+p.cookie, "Origin: "+v.p.url)
		if ws == nil {
			v.Fatalf("no socket: %d", status)
		}
		return ws
	}
	vote(open(honest, theirs), `{"option":"winter"}`, "")
	ws := open(hostile, own)
	vote(ws, `{"option":"summer","user":"`+theirs.user+`","User":"`+theirs.user+`"}`, "")
	vote(ws, `{"option":["summer","winter"]}`, `,"user":"`+theirs.user+`"`)
	ws.text(fmt.Sprintf(`{"hello":2,"client":%q,"user":%q}`, newClientID(), theirs.user))
	vote(ws, `{"option":"summer"}`, "")
	body := v.from(auditor).get("/poll/lobby").body
	if s, ok := polls().parse(body); !ok || s.Value != "summer=1 winter=1" {
		return fmt.Errorf("the poll has %q", s.Value)
	}
	return nil
}

// overhear listens in a second tab, and on pages, while a first one clicks and
// is refused.
func overhear(v *victim) error {
	first, second := v.from(honest).connect("lobby"), v.from(hostile).connect("lobby")
	second.text(`{"hello":2,"as":"data"}`)
	third := v.from(hostile).connect("lobby")
	third.text(`{"hello":2}`)
	refused := v.newOp()
	refused.do = "nobody"
	clients := []string{refused.Client}
	first.text(clickText(refused))
	if m := first.verdict(); m.Refused == nil {
		v.Fatalf("the op is %s", m)
	}
	for range 20 {
		op := v.newOp()
		clients = append(clients, op.Client)
		first.text(clickText(op))
		if m := first.verdict(); !m.acks(op.ID) {
			v.Fatalf("the op is %s", m)
		}
	}
	for _, ws := range []*rawSocket{second, third} {
		if err := v.overheard(ws, clients); err != nil {
			return err
		}
	}
	page := v.from(hostile).get(v.page("lobby")).body + v.from(hostile).get("/readyz").body
	_, metrics := get(v, v.admin+"/metrics")
	_, index := get(v, v.admin+"/debug/")
	for _, client := range clients {
		if strings.Contains(page+metrics+index+v.p.out.String(), client) {
			return fmt.Errorf("a page or the log names the client %s", client)
		}
	}
	return nil
}

// overheard reads all that a tab has been sent until it shows the last count.
func (v *victim) overheard(ws *rawSocket, clients []string) error {
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, payload, err := ws.next()
		if err != nil {
			return fmt.Errorf("a tab was cut off: %w", err)
		}
		for _, client := range clients {
			if strings.Contains(string(payload), client) {
				return fmt.Errorf("another tab is told of the client %s", client)
			}
		}
		if v.app.hasCounted(string(payload), 20) {
			return nil
		}
	}
}
