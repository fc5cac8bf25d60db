package snssqspubsub

import (
	"context"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"lockstep/pubsub/driver"
)

const (
	// maxEntries is how many messages SNS and SQS take, or give, at once.
	maxEntries = 10
	// maxBatches is how many requests that publish are under way at most: what comes
	// then gathers.
	maxBatches = 4
)

// A request is one message that is to be published.
type request struct {
	body string
	done chan error // of size 1
}

// Publish implements driver.Conn.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	return c.publish(ctx, encodeMessage(topic, payload))
}

// publish has a message sent, and waits for SNS's answer.
func (c *conn) publish(ctx context.Context, body string) error {
	r := request{body, make(chan error, 1)}
	return driver.Ask(ctx, c.Inbox, c.requests, r, r.done)
}

// work sends what gathers while others are under way.
func (c *conn) work() {
	slots := make(chan struct{}, maxBatches)
	for {
		select {
		case slots <- struct{}{}:
		case <-c.Ended():
			return
		}
		select {
		case first := <-c.requests:
			all := driver.Gather(first, c.requests, maxEntries)
			c.running.Go(func() { // ends with its answer, or with life
				defer func() { <-slots }()
				for _, batch := range split(all) {
					c.send(batch)
				}
			})
		case <-c.Ended():
			return
		}
	}
}

// split cuts requests into batches that SNS takes.
func split(all []request) (batches [][]request) {
	begin, size := 0, 0
	for i, r := range all {
		if size += len(r.body); size > maxBody && i > begin {
			batches = append(batches, all[begin:i])
			begin, size = i, len(r.body)
		}
	}
	return append(batches, all[begin:])
}

// send publishes a batch, and says to each call what became of it.
func (c *conn) send(batch []request) {
	ctx, cancel := context.WithTimeout(c.life, answerTimeout)
	defer cancel()
	entries := make([]types.PublishBatchRequestEntry, len(batch))
	for i := range batch {
		entries[i] = types.PublishBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), Message: &batch[i].body}
	}
	out, err := c.sns.PublishBatch(ctx, &sns.PublishBatchInput{TopicArn: &c.topicARN, PublishBatchRequestEntries: entries})
	err = explain("Publish on "+c.name, err)
	if isGone(codeOf(err)) {
		c.lost(err) // nothing will come from it any more
	}
	errs := make([]error, len(batch))
	for i := range errs {
		if errs[i] = err; err != nil {
			errs[i] = ofPackage(err)
		}
	}
	if err == nil {
		refusals(out.Failed, errs)
	}
	for i, r := range batch {
		r.done <- errs[i]
	}
}

// refusals writes down what SNS says of single messages of a batch.
func refusals(failed []types.BatchResultErrorEntry, errs []error) {
	for _, f := range failed {
		i, err := strconv.Atoi(aws.ToString(f.Id))
		if err != nil || i < 0 || i >= len(errs) {
			continue // not one of ours
		}
		errs[i] = ofPackage(&failure{text: "Publish: " + aws.ToString(f.Code) + ": " + aws.ToString(f.Message)})
	}
}
