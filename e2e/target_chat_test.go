package e2e_test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"

	"lockstep/internal/history"
	states "lockstep/state"
	"lockstep/tools/loadgen/load/protocol"
)

// chat is the example of that name: of all it shares the most with the demo, a page for each name,
// forms, a log of what people write, and who types.
func chat() *target {
	return &target{
		name: "chat",
		program: func() (string, error) {
			dir, err := exampleDir()
			return filepath.Join(dir, "chat"), err
		},
		build: func(name string, replace map[string]string) (string, error) {
			return buildProgram(name, "lockstep/examples/chat", replace)
		},
		backends: func(broker, store, prefix string) (args, env []string) {
			args = []string{"-admin", "localhost:0"}
			for flag, value := range map[string]string{"-url": broker, "-store": store, "-channel-prefix": prefix} {
				if value != "" {
					args = append(args, flag, value)
				}
			}
			return args, []string{"LOCKSTEP_SECRET=" + testSecret}
		},
		mount:  "/live",
		family: "chat", page: func(name string) string { return "/" + name }, beside: "typing",
		do: "say", in: map[string]string{"text": "hello"},
		wrongNames: noNames(),
		form: func(name, do string) (string, url.Values) {
			return "/live/do", url.Values{"do": {do}, "topic": {"chat:" + name}}
		},
		read:   readChat,
		counts: func(n int) []string { return []string{fmt.Sprintf(`data-n=\"%d\"`, n), fmt.Sprintf(`\"n\\\":%d`, n)} },
		press:  `document.querySelector('input[name=text]').value = 'hello'; ''`, button: "form[data-do=say] button",

		falsehood: func(now count, epoch, version uint64) string {
			return chatText(epoch, version, uint64(now.N)+1, "forged 666")
		},
		shows: regexp.MustCompile(`forged 666`),
		elsewhere: func(op wireOp) (ops []wireOp, said string) { // one more than the lobby has
			second := op.next()
			second.in = map[string]string{"text": "forged 666"}
			return []wireOp{op, second}, "forged 666"
		},

		has:   []string{"author", "older"},
		items: itemsTarget{"/lobby", "chat:lobby", "say"}, log: itemsTarget{"/lobby", "chat:lobby", "say"},
		board: "/lobby",
		cast: func(n int) string {
			return fmt.Sprintf(`{"cast":"typing","t":"typing:lobby","in":{"tab":"t","n":"%d"}}`, n)
		},

		named: []guard{topicNameGuard(), boardNameGuard()}, escaped: []guard{escapedRoomGuard()},
		replicaOf: escapedServedGuard(), writtenOf: escapedLineGuard(), longForm: doGuard(),
		moreMarked: func(*victim, string) map[string]answer { return nil },

		kinds: []kind{chats()}, pieces: []kind{chats()}, nameless: []kind{chats()},
		usual: func(c faultCase) []string { return c.kit },
	}
}

func boardNameGuard() guard {
	return guard{"names of counters, of boards", "soft.go", "b == nil || !a.guard.validKey(b.valid, key)", "b == nil || !WITHOUT && !a.guard.validKey(b.valid, key)"}
}

// escapedRoomGuard is what writes the attributes of a room's element.
func escapedRoomGuard() guard {
	return guard{
		"templ escapes", "room.go", "	if err := templruntime.RenderAttributes(ctx, w, io.Discard, tag, attrs); err != nil {",
		"	if topic, ok := attrs[\"data-topic\"].(string); ok && WITHOUT {\n\t\t_, _ = io.WriteString(w, topic)\n\t}\n\tif err := templruntime.RenderAttributes(ctx, w, io.Discard, tag, attrs); err != nil {",
	}
}

// doGuard bounds the forms at the server's own address.
func doGuard() guard {
	return guard{"length of a form", "serve/form.go", "MaxBytesReader(w, r.Body, maxForm)", "MaxBytesReader(w, r.Body, pick[int64](WITHOUT, 64<<20, maxForm))"}
}

func escapedServedGuard() guard {
	return guard{
		"templ escapes", "components/messages_templ.go", "templ.JoinStringErrs(p.Replica)\n",
		"templ.JoinStringErrs(p.Replica)\n\t\tif WITHOUT {\n\t\t\t_, _ = templ_7745c5c3_Buffer.WriteString(p.Replica)\n\t\t}\n",
	}
}

func escapedLineGuard() guard {
	return guard{
		"templ escapes", "examples/chat/page_templ.go", "templ.JoinStringErrs(m.M.Text)\n",
		"templ.JoinStringErrs(m.M.Text)\n\t\tif WITHOUT {\n\t\t\t_, _ = templ_7745c5c3_Buffer.WriteString(m.M.Text)\n\t\t}\n",
	}
}

var (
	chatRootPattern = regexp.MustCompile(`<div[^>]*\bdata-topic="chat:[^>]*>`)
	linePattern     = regexp.MustCompile(`<li[^>]*\bdata-n="(\d+)"`)
)

// readChat reads the page of a chat: how much was said there so far.
func readChat(page string) (c count, ok bool) {
	root := chatRootPattern.FindString(page)
	for _, m := range statePattern.FindAllStringSubmatch(root, -1) {
		n, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil {
			return c, false
		}
		if m[1] == "version" {
			c.Version = n
		} else {
			c.Epoch = n
		}
	}
	if all := linePattern.FindAllStringSubmatch(page, -1); len(all) > 0 {
		var err error
		if c.N, err = strconv.ParseInt(all[len(all)-1][1], 10, 64); err != nil {
			return c, false
		}
	}
	return c, root != ""
}

// lineElementPattern is the element of an entry: its id is that of the op behind what the list has.
var lineElementPattern = regexp.MustCompile(`<li data-n="(\d+)" id="[\w-]*?([\w-]{12}-[0-9a-z]+)"><b>[^<]*</b> ([^<]*)</li>`)

// A chatMessage is what the example keeps.
type chatMessage struct{ Who, Text string }

// chats are where everybody says something.
func chats() kind {
	return kind{
		name: "chat", judge: history.Logs(), wire: &protocol.Lockstep{Kind: protocol.Log},
		at: func(name string) string { return "/" + name },
		plain: func(html string) string {
			return lineElementPattern.ReplaceAllString(html, `<li data-n="$1" id="m-$2"><span>$3</span></li>`)
		},
		decode: func([]byte) (string, error) { return "", nil }, // the entries are beside the record
		act:    logs().act,
		beside: entriesOf(states.Kind[states.Log[chatMessage]]{Name: "chat"}, func(m chatMessage) string { return m.Text }),
	}
}

// chatText is what replicas tell each other when something was said, as the nth.
func chatText(epoch, version, n uint64, text string) string {
	entry := asJSON(map[string]any{"id": "forged-1", "at": 1, "m": map[string]string{"Who": "nobody", "Text": text}})
	return fmt.Sprintf(`{"e":%d,"v":%d,"s":%q,"n":%d,"l":[%q]}`, epoch, version, fmt.Sprintf(`1 {"n":%d}`, n), n, entry)
}
