package snssqspubsub

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

const (
	// maxSilent is how many signs of life of a queue may be missing.
	maxSilent = 5
	// maxDeaf is how many of its own a connection may miss.
	maxDeaf = 2
	// maxRemoved is how many strays one sweep removes: the next goes on.
	maxRemoved = 50
)

var errDeaf = errors.New("nothing comes from the topic any more: somebody has removed the subscription, or AWS is away")

// queues is how many signs of life are missing of each queue that is known.
type queues map[string]int

// miss counts one more sign as missing of each queue: hear takes that back. It returns how
// many are missing of a connection's own, and counts nothing of others unless all have come.
func (q queues) miss(own string) int {
	missing := q[own]
	q[own]++
	for other := range q {
		if other != own && missing == 0 {
			q[other]++
		}
	}
	return missing
}

// A stray is a queue that may have nobody, with its subscription; either may be gone.
type stray struct{ queueURL, subscription string }

// sign tells the other replicas that the queue lives.
func (c *conn) sign(ctx context.Context) error {
	return c.publish(ctx, encode(kindSign, c.queue, nil))
}

// hear notes a sign of life.
func (c *conn) hear(queue string) {
	c.mu.Lock()
	if isQueueName(c.name, queue) && (queue == c.queue || len(c.queues) < maxKnown) {
		c.queues[queue] = 0
	}
	c.mu.Unlock()
	if queue != c.queue {
		return
	}
	select {
	case <-c.heard:
	default:
		close(c.heard) // only pump does
	}
}

// maxKnown bounds what is remembered of queues: anybody who may publish can name some.
const maxKnown = 10_000

// watch signs, and removes queues that don't. It ends with life.
func (c *conn) watch(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.Ended():
			return
		}
		ctx, cancel := context.WithTimeout(c.life, max(every, answerTimeout))
		_ = c.sign(ctx) // the heartbeats of a hub find out sooner
		err := c.patrol(ctx)
		cancel()
		if isOurs(err) || errors.Is(err, errDeaf) {
			c.lost(err)
			return
		}
		// Any other error: the next sweep does what this one could not.
	}
}

// patrol counts what is missing since the last time. A connection that has not heard
// itself does not judge: it would have heard nobody. After a pause of the whole process
// each counts once, and there is time to hear them.
func (c *conn) patrol(ctx context.Context) error {
	c.mu.Lock()
	deaf := c.queues.miss(c.queue)
	c.mu.Unlock()
	switch {
	case deaf > maxDeaf:
		return errDeaf
	case deaf > 0:
		return nil
	}
	return c.sweep(ctx)
}

// sweep looks which queues there are, and removes those whose signs are missing.
func (c *conn) sweep(ctx context.Context) error {
	found, err := c.find(ctx)
	if err != nil {
		return err
	}
	left := maxRemoved
	for _, s := range c.silent(found) {
		if left--; left < 0 {
			break
		}
		if err := c.remove(ctx, s.subscription, s.queueURL); err != nil {
			return err
		}
	}
	return nil
}

// silent returns which of the queues that were found are strays. Of those that were not
// it forgets what it knows.
func (c *conn) silent(found map[string]stray) map[string]stray {
	strays := make(map[string]stray)
	c.mu.Lock()
	defer c.mu.Unlock()
	for queue := range c.queues {
		if _, is := found[queue]; !is && queue != c.queue {
			delete(c.queues, queue)
		}
	}
	for queue, s := range found {
		n, known := c.queues[queue]
		switch {
		case !known:
			c.queues[queue] = 0
		case n > maxSilent && queue != c.queue:
			strays[queue] = s
		}
	}
	return strays
}

// find returns the queues of the installation, by their names, and the subscriptions of
// such, whose queues may be gone.
func (c *conn) find(ctx context.Context) (map[string]stray, error) {
	found := make(map[string]stray)
	lists := sqs.NewListQueuesPaginator(c.sqs, &sqs.ListQueuesInput{QueueNamePrefix: aws.String(c.name + infix), MaxResults: aws.Int32(1000)})
	for lists.HasMorePages() {
		page, err := lists.NextPage(ctx)
		if err != nil {
			return nil, explain("ListQueues", err)
		}
		for _, url := range page.QueueUrls {
			if queue := lastOf(url, "/"); isQueueName(c.name, queue) {
				found[queue] = stray{queueURL: url}
			}
		}
	}
	subscriptions := sns.NewListSubscriptionsByTopicPaginator(c.sns, &sns.ListSubscriptionsByTopicInput{TopicArn: &c.topicARN})
	for subscriptions.HasMorePages() {
		page, err := subscriptions.NextPage(ctx)
		if err != nil {
			return nil, explain("ListSubscriptionsByTopic "+c.name, err)
		}
		for _, s := range page.Subscriptions {
			queue := lastOf(aws.ToString(s.Endpoint), ":")
			// One that is about to be confirmed, or deleted, has no ARN.
			if isQueueName(c.name, queue) && strings.HasPrefix(aws.ToString(s.SubscriptionArn), "arn:") {
				found[queue] = stray{found[queue].queueURL, aws.ToString(s.SubscriptionArn)}
			}
		}
	}
	return found, nil
}
