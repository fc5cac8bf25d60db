package snssqspubsub

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"lockstep/pubsub/driver"
)

const (
	// longPoll is how long SQS waits for a message, the most that it does.
	longPoll = 20 * time.Second
	// maxPolls is how many requests for messages are under way at most, while more
	// come than one request takes.
	maxPolls = 8
	// maxDeletes is how many requests that delete are under way at most.
	maxDeletes = 4
	// maxLag is how much later than the fastest a message may come. It is well below
	// retention: what is later may have been dropped.
	maxLag = 30 * time.Second
)

// pump passes messages on to Receive. One request waits for them; while it comes back
// full, more are made at once.
func (c *conn) pump() {
	slots := make(chan struct{}, maxDeletes)
	for polls := 1; ; {
		messages, err := c.poll(polls)
		if err == nil {
			err = c.inTime(messages)
		}
		if err != nil {
			c.lost(err)
			return
		}
		if !c.delete(messages, slots) || !c.deliver(messages) {
			return
		}
		polls = pollsAfter(polls, len(messages))
	}
}

// pollsAfter returns how many requests are made after so many that have brought n
// messages.
func pollsAfter(polls, n int) int {
	switch {
	case n >= polls*maxEntries:
		return min(2*polls, maxPolls)
	case n > polls*maxEntries/2:
		return polls
	}
	return max(1, polls/2)
}

// poll asks for messages, several times at once. Only one that is alone waits for them.
func (c *conn) poll(polls int) (all []types.Message, err error) {
	if polls == 1 {
		return c.receive(c.life, longPoll)
	}
	found := make([][]types.Message, polls)
	g, ctx := errgroup.WithContext(c.life)
	for i := range found {
		g.Go(func() (err error) {
			found[i], err = c.receive(ctx, 0)
			return err
		})
	}
	err = g.Wait()
	for _, some := range found {
		all = append(all, some...)
	}
	return all, err
}

// receive asks once.
func (c *conn) receive(ctx context.Context, wait time.Duration) ([]types.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+answerTimeout)
	defer cancel()
	out, err := c.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &c.queueURL, MaxNumberOfMessages: maxEntries, WaitTimeSeconds: int32(wait / time.Second),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameSentTimestamp},
	})
	if err != nil {
		return nil, explain("ReceiveMessage from "+c.queue, err)
	}
	return out.Messages, nil
}

// delete deletes messages, beside what goes on. It reports false at the end. An error is
// nobody's concern: what is not deleted stays invisible until SQS drops it.
func (c *conn) delete(messages []types.Message, slots chan struct{}) bool {
	for len(messages) > 0 {
		n := min(len(messages), maxEntries)
		entries := make([]types.DeleteMessageBatchRequestEntry, n)
		for i, m := range messages[:n] {
			entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle}
		}
		messages = messages[n:]
		select {
		case slots <- struct{}{}:
		case <-c.Ended():
			return false
		}
		c.running.Go(func() { // ends with its answer, or with life
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(c.life, answerTimeout)
			defer cancel()
			_, _ = c.sqs.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &c.queueURL, Entries: entries}) // see above
		})
	}
	return true
}

// deliver leaves messages for Receive. It reports false at the end.
func (c *conn) deliver(messages []types.Message) bool {
	for _, m := range messages {
		kind, name, payload, ok := decode(aws.ToString(m.Body))
		switch {
		case !ok: // somebody else's
		case kind == kindSign:
			c.hear(name)
		case !c.subscribed(name):
		case kind == kindGap:
			ok = c.Put(driver.Message{Topic: name, Gap: true})
		case kind == kindMessage:
			ok = c.Put(driver.Message{Topic: name, Payload: payload})
		}
		if !ok && c.life.Err() != nil {
			return false
		}
	}
	return true
}

// inTime returns an error if messages are so late that SQS may have dropped others.
func (c *conn) inTime(messages []types.Message) error {
	for _, m := range messages {
		ms, err := strconv.ParseInt(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64)
		if err != nil {
			continue // an emulator has none
		}
		if late := c.lag.of(time.UnixMilli(ms).Sub(c.opened.Round(0)), time.Since(c.opened)); late > maxLag {
			return fmt.Errorf("messages come from queue %s %s late: others may have been dropped", c.queue, late.Round(time.Second))
		}
	}
	return nil
}

// lag is how late messages are: compared with the fastest, as AWS's clock is not ours.
type lag struct {
	known   bool
	fastest time.Duration
}

// of returns how late a message is that was sent and has come at these times, by two
// clocks.
func (l *lag) of(sent, come time.Duration) time.Duration {
	took := come - sent
	if !l.known || took < l.fastest {
		l.known, l.fastest = true, took
	}
	return took - l.fastest
}
