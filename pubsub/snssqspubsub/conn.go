package snssqspubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"lockstep/pubsub/driver"
)

const (
	// answerTimeout is how long a request may take. Calls end with their contexts
	// before, and the hub's heartbeat finds out sooner.
	answerTimeout = 10 * time.Second
	// removeTimeout is how long Close may take to remove the queue. If it is not
	// enough another replica does it later.
	removeTimeout = time.Second
	// retention is how long a message stays in a queue, the least that SQS knows: who
	// is that late reads the store. visibility is when a message that was received
	// and not deleted comes again: never, as it is longer.
	retention  = 60 * time.Second
	visibility = 120 * time.Second
)

// conn is one queue. All that is published goes through the goroutine work, and what
// is in the queue comes to the goroutine pump; watch says that the queue lives, and
// removes those that don't. When the connection is lost all end.
type conn struct {
	// set once
	*driver.Inbox
	services
	name     string // of the installation
	queue    string // its name
	life     context.Context
	requests chan request
	heard    chan struct{}  // closed when the first message has come
	running  sync.WaitGroup // all goroutines; they end with life
	opened   time.Time

	// set by create
	topicARN, queueARN, queueURL, subscription string

	removed sync.Once

	lag lag // owned by pump

	mu     sync.Mutex // guards the rest
	topics map[string]struct{}
	queues queues
}

// newConn returns a conn that has no queue yet. end ends its life.
func newConn(life context.Context, end func(), s services, name string) *conn {
	return &conn{
		Inbox: driver.NewInbox(end), services: s, name: name, queue: newQueueName(name), life: life,
		requests: make(chan request), heard: make(chan struct{}), opened: time.Now(),
		topics: make(map[string]struct{}), queues: make(queues),
	}
}

// create makes the queue, and the topic where there is none. The queue's policy needs
// its ARN before there is a queue, which is the topic's but for two words.
func (c *conn) create(ctx context.Context) error {
	topic, err := c.sns.CreateTopic(ctx, &sns.CreateTopicInput{Name: &c.name})
	if err != nil {
		return explain("CreateTopic "+c.name, err)
	}
	c.topicARN = aws.ToString(topic.TopicArn)
	c.queueARN = strings.Replace(strings.TrimSuffix(c.topicARN, lastOf(c.topicARN, ":")), ":sns:", ":sqs:", 1) + c.queue
	queue, err := c.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &c.queue, Attributes: map[string]string{
		"MessageRetentionPeriod": seconds(retention),
		"VisibilityTimeout":      seconds(visibility),
		"Policy":                 policy(c.topicARN, c.queueARN),
	}})
	if err != nil {
		return explain("CreateQueue "+c.queue, err)
	}
	c.queueURL = aws.ToString(queue.QueueUrl)
	subscription, err := c.sns.Subscribe(ctx, &sns.SubscribeInput{
		TopicArn: &c.topicARN, Protocol: aws.String("sqs"), Endpoint: &c.queueARN,
		Attributes: map[string]string{"RawMessageDelivery": "true"}, ReturnSubscriptionArn: true,
	})
	if err != nil {
		return explain("Subscribe "+c.queue, err)
	}
	c.subscription = aws.ToString(subscription.SubscriptionArn)
	return nil
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// policy lets one topic send to a queue, and nobody else.
func policy(topicARN, queueARN string) string {
	type object = map[string]any
	text, err := json.Marshal(object{"Version": "2012-10-17", "Statement": []object{{
		"Effect": "Allow", "Principal": object{"Service": "sns.amazonaws.com"},
		"Action": "sqs:SendMessage", "Resource": queueARN,
		"Condition": object{"ArnEquals": object{"aws:SourceArn": topicARN}},
	}}})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return string(text)
}

// start puts the conn to work, until its end.
func (c *conn) start(signEvery time.Duration) {
	c.running.Go(c.work)
	c.running.Go(c.pump)
	c.running.Go(func() { c.watch(signEvery) })
}

// proven returns when a message has come through topic, subscription and queue: AWS
// does not say when these are ready. What it sends is a sign of life, so the others
// know the queue from its beginning.
func (c *conn) proven(ctx context.Context) error {
	if err := c.sweep(ctx); isOurs(err) { // anything else is for the next sweep
		return err
	}
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		if err := c.sign(ctx); err != nil {
			return err
		}
		select {
		case <-c.heard:
			return nil
		case <-again.C:
		case <-c.Ended():
			return c.Usable(ctx)
		case <-ctx.Done():
			return fmt.Errorf("nothing comes from topic %s to queue %s: %w", c.name, c.queue, ctx.Err())
		}
	}
}

// lost ends the conn. What is under way then has its context's error, which is not
// the reason.
func (c *conn) lost(err error) {
	if c.life.Err() == nil {
		c.End(ofPackage(err))
	}
}

// Subscribe implements driver.Conn. Everything comes to the queue, and has since it was
// opened; so there is nobody to ask.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.topics[topic] = struct{}{}
	return nil
}

// Unsubscribe implements driver.Conn.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.topics, topic)
	return nil
}

func (c *conn) subscribed(topic string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, has := c.topics[topic]
	return has
}

// Close implements driver.Conn. It waits for its goroutines, and removes the
// subscription and the queue, or leaves them to others where that takes too long.
func (c *conn) Close() error {
	c.End(driver.ErrClosed)
	c.running.Wait()
	c.removed.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.life), removeTimeout)
		defer cancel()
		_ = c.remove(ctx, c.subscription, c.queueURL) // a sweep finds what is left
		c.http.CloseIdleConnections()
	})
	return nil
}

// remove removes a subscription and a queue, at once. "" is none of either. What is
// not there is none, too.
func (c *conn) remove(ctx context.Context, subscription, queueURL string) error {
	var errs [2]error
	var both sync.WaitGroup
	if subscription != "" {
		both.Go(func() {
			_, err := c.sns.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: &subscription})
			errs[0] = explain("Unsubscribe "+subscription, err)
		})
	}
	if queueURL != "" {
		both.Go(func() {
			_, err := c.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &queueURL})
			errs[1] = explain("DeleteQueue "+lastOf(queueURL, "/"), err)
		})
	}
	both.Wait()
	for i, err := range errs {
		if isGone(codeOf(err)) {
			errs[i] = nil
		}
	}
	return errors.Join(errs[:]...)
}
