package testserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A front is what a Cloud has before goaws.
type front struct {
	to     string
	client *http.Client
	turn   chan struct{} // of size 1: whose turn it is at goaws

	mu       sync.Mutex    // guards the rest
	news     chan struct{} // closed, and replaced, when something is published
	hostile  bool
	failures map[string]*refusal
	asked    map[string]int
	bodies   map[string]string
	late     map[string][]lateMessage // by queue
}

// A refusal is an error that requests get.
type refusal struct {
	left, status int
	code         string
}

// A lateMessage is one that goaws has given, and that is not yet passed on.
type lateMessage struct {
	json.RawMessage
	due time.Time
}

func newFront(to string) *front {
	// Connections end soon when nobody uses them: tests count goroutines.
	return &front{
		to: to, client: &http.Client{Transport: &http.Transport{IdleConnTimeout: 50 * time.Millisecond}}, turn: make(chan struct{}, 1),
		news: make(chan struct{}), failures: make(map[string]*refusal), asked: make(map[string]int),
		bodies: make(map[string]string), late: make(map[string][]lateMessage),
	}
}

func (f *front) set(change func(*front)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // nobody waits for an answer
	}
	action := actionOf(r, body)
	if refused := f.ask(action, string(body), r.Header); refused != nil {
		refuse(w, r.Header, refused)
		return
	}
	var status int
	var header http.Header
	var answer []byte
	if action == "CreateQueue" {
		body = withPolicy(body)
	}
	switch action {
	case "ReceiveMessage":
		status, header, answer, err = f.receive(r, body)
	case "PublishBatch":
		status, header, answer, err = f.publish(r, body)
	default:
		status, header, answer, err = f.forward(r.Context(), r.Header, body)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // as if goaws were not there
	}
	if strings.HasPrefix(action, "Publish") {
		f.set(func(f *front) { close(f.news); f.news = make(chan struct{}) })
	}
	answer = asAWS(header, status, answer)
	w.Header().Set("Content-Type", header.Get("Content-Type"))
	w.WriteHeader(status)
	_, _ = w.Write(answer) // nobody may wait for it any more
}

// actionOf returns what a request wants: SQS speaks JSON, SNS forms.
func actionOf(r *http.Request, body []byte) string {
	if _, action, found := strings.Cut(r.Header.Get("X-Amz-Target"), "."); found {
		return action
	}
	form, _ := url.ParseQuery(string(body)) // goaws says what is wrong with it
	return form.Get("Action")
}

// ask counts a request, and returns how it is to be refused, or nil.
func (f *front) ask(action, body string, asked http.Header) *refusal {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[action]++
	f.bodies[action] = body
	if r := f.failures[action]; r != nil && r.left != 0 {
		r.left--
		return r
	}
	// Never the third attempt of a call: a client gives up after that. Which one it is it says itself;
	// by counting, one call of many at once would now and then meet three.
	last := strings.HasPrefix(asked.Get("Amz-Sdk-Request"), "attempt=3")
	often := action == "ReceiveMessage" || action == "PublishBatch" || action == "DeleteMessageBatch"
	if n := f.asked[action] % 50; f.hostile && often && !last && (n == 7 || n == 8) {
		return &refusal{0, http.StatusBadRequest, "ThrottlingException"}
	}
	return nil
}

// refuse answers as AWS does.
func refuse(w http.ResponseWriter, asked http.Header, r *refusal) {
	if asked.Get("X-Amz-Target") != "" {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Header().Set("X-Amzn-Query-Error", r.code+";Sender")
		w.WriteHeader(r.status)
		_, _ = fmt.Fprintf(w, `{"__type":"com.amazonaws.sqs#%s","message":"said so by a test"}`, r.code) // see ServeHTTP
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(r.status)
	_, _ = fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>said so by a test</Message></Error></ErrorResponse>`, r.code)
}

// forward asks goaws, when it is its turn.
func (f *front) forward(ctx context.Context, header http.Header, body []byte) (int, http.Header, []byte, error) {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return 0, nil, nil, ctx.Err()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.to+"/", bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	for _, name := range []string{"Content-Type", "X-Amz-Target"} {
		r.Header.Set(name, header.Get(name))
	}
	answer, err := f.client.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, text, err
}

// publish keeps to what SNS takes at once, which goaws does not: 10 messages and 256 KB. goaws
// takes nine, so that ten are two requests.
func (f *front) publish(r *http.Request, body []byte) (status int, header http.Header, answer []byte, err error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return 0, nil, nil, err
	}
	size, n := 0, 0
	batches := []url.Values{{}, {}}
	for key, values := range form {
		rest, is := strings.CutPrefix(key, "PublishBatchRequestEntries.member.")
		number, field, _ := strings.Cut(rest, ".")
		i, _ := strconv.Atoi(number) // 0 is not one
		switch {
		case !is:
			batches[0][key], batches[1][key] = values, values
			continue
		case i < 10:
			batches[0][key] = values
		default:
			batches[1][fmt.Sprintf("PublishBatchRequestEntries.member.%d.%s", i-9, field)] = values
		}
		n = max(n, i)
		if field == "Message" {
			size += len(values[0])
		}
	}
	if n > 10 || size > 256<<10 {
		const text = `<ErrorResponse><Error><Code>BatchRequestTooLong</Code><Message>too much at once</Message></Error></ErrorResponse>`
		return http.StatusBadRequest, http.Header{"Content-Type": {"text/xml"}}, []byte(text), nil
	}
	if n == 10 {
		if status, header, answer, err = f.forward(r.Context(), r.Header, []byte(batches[1].Encode())); err != nil || status != http.StatusOK {
			return status, header, answer, err
		}
	}
	return f.forward(r.Context(), r.Header, []byte(batches[0].Encode()))
}

// withPolicy gives the policy of a queue the form that goaws wants, an object; AWS wants
// the text of one.
func withPolicy(body []byte) []byte {
	var asked struct {
		QueueName  string
		Attributes map[string]any
	}
	if json.Unmarshal(body, &asked) != nil {
		return body // goaws says what is wrong with it
	}
	if text, is := asked.Attributes["Policy"].(string); is {
		asked.Attributes["Policy"] = json.RawMessage(text)
	}
	if text, err := json.Marshal(asked); err == nil {
		return text
	}
	return []byte("{}") // no policy, no queue
}

// asAWS returns goaws's answer in AWS's form.
func asAWS(header http.Header, status int, answer []byte) []byte {
	if status < http.StatusBadRequest {
		return answer
	}
	if strings.Contains(header.Get("Content-Type"), "json") {
		var e struct{ Code, Message string }
		if json.Unmarshal(answer, &e) != nil {
			return answer
		}
		text, _ := json.Marshal(map[string]string{"__type": "com.amazonaws.sqs#" + e.Code, "message": e.Message}) // strings can be encoded
		return text
	}
	return []byte(regexp.MustCompile(`AWS\.SimpleNotificationService\.NonExistent(Topic|Subscription)`).ReplaceAllString(string(answer), "NotFound"))
}

// receive makes a long poll of short ones.
func (f *front) receive(r *http.Request, body []byte) (int, http.Header, []byte, error) {
	var asked map[string]any
	if err := json.Unmarshal(body, &asked); err != nil {
		return 0, nil, nil, err
	}
	wait, _ := asked["WaitTimeSeconds"].(float64)
	queue, _ := asked["QueueUrl"].(string)
	delete(asked, "WaitTimeSeconds")
	short, err := json.Marshal(asked)
	if err != nil {
		return 0, nil, nil, err
	}
	end := time.NewTimer(time.Duration(wait * float64(time.Second)))
	defer end.Stop()
	again := time.NewTicker(20 * time.Millisecond) // for what is late, and for queues that go
	defer again.Stop()
	for n := 0; ; n++ {
		f.mu.Lock()
		news, waits := f.news, len(f.late[queue]) > 0
		f.mu.Unlock()
		status, header, answer, err := f.forward(r.Context(), r.Header, short)
		if err != nil || status != http.StatusOK {
			return status, header, answer, err
		}
		messages, err := f.pass(queue, answer)
		if err != nil {
			return 0, nil, nil, err
		}
		if len(messages) > 0 || wait == 0 {
			text, err := json.Marshal(map[string]any{"Messages": messages})
			return status, header, text, err
		}
		if !waits && n > 0 { // a queue that goes is noticed in a while, too
			again.Reset(200 * time.Millisecond)
		}
		select {
		case <-news:
		case <-again.C:
		case <-end.C:
			wait = 0
		case <-r.Context().Done():
			return 0, nil, nil, r.Context().Err()
		}
	}
}

// pass returns which messages are given to who asks: those of an answer, or, while the
// front is hostile, any that are due.
func (f *front) pass(queue string, answer []byte) ([]json.RawMessage, error) {
	var got struct{ Messages []json.RawMessage }
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &got); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.hostile && len(f.late[queue]) == 0 {
		return got.Messages, nil
	}
	now := time.Now()
	for _, m := range got.Messages {
		var delay time.Duration
		if f.hostile && rand.N(3) == 0 {
			delay = rand.N(200 * time.Millisecond)
		}
		f.late[queue] = append(f.late[queue], lateMessage{m, now.Add(delay)})
		if f.hostile && rand.N(5) == 0 {
			f.late[queue] = append(f.late[queue], lateMessage{m, now.Add(rand.N(400 * time.Millisecond))})
		}
	}
	waiting := f.late[queue]
	rand.Shuffle(len(waiting), func(i, j int) { waiting[i], waiting[j] = waiting[j], waiting[i] })
	var due []json.RawMessage
	var rest []lateMessage
	for _, m := range waiting {
		if m.due.After(now) || len(due) == 10 {
			rest = append(rest, m)
			continue
		}
		due = append(due, m.RawMessage)
	}
	f.late[queue] = rest
	return due, nil
}

// names returns what is in the elements of a name in an answer, behind the last separator.
func (c *Cloud) names(action, element, separator string) []string {
	c.t.Helper()
	var all []string
	for _, m := range regexp.MustCompile("<"+element+">([^<]*)<").FindAllStringSubmatch(c.Do(action), -1) {
		name := m[1]
		if separator != "" {
			name = name[strings.LastIndex(name, separator)+1:]
		}
		all = append(all, name)
	}
	return all
}
