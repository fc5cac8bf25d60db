package htmx

import "time"

// The times and counts on which tabs and replicas rely. A page, another client and a load
// generator all go by them: static/constants.js is made from this file.

// What a replica does.
const (
	// StatusInterval is how often a replica tells each tab its status, changed or not, unless it
	// says another beat in that status.
	StatusInterval = 20 * time.Second

	// PingInterval is how often a replica looks for tabs from which nothing has come. It pings
	// such a tab after half as long again at most, because a tab may have spoken just before.
	PingInterval = 30 * time.Second

	// PongTimeout is how long a tab may take to answer a ping.
	PongTimeout = 30 * time.Second
)

// What a tab does about its connection.
const (
	// ConnectTimeout is how long an attempt to connect may take at first, until the replica has
	// said something: on a link with long round trips TLS and the websocket need several of them.
	// The limit doubles with each attempt that takes longer, is kept for the attempts after one
	// that worked, and halves again with each that needs less than a quarter of it.
	ConnectTimeout = 5 * time.Second

	// ConnectTimeoutMax is where that limit stops to grow.
	ConnectTimeoutMax = 30 * time.Second

	// SilenceTimeout is how long a connection may be silent before the tab connects anew: two
	// statuses may be lost. It is for StatusInterval. Of a replica that says another beat it is
	// as many of those, but SilenceTimeoutMin at least. After half of it the tab asks for a
	// proof.
	SilenceTimeout = 45 * time.Second

	// SilenceTimeoutMin is the least that SilenceTimeout becomes with a short beat.
	SilenceTimeoutMin = 5 * time.Second

	// ProofTimeout is how long a replica may take to answer a tab that asks for a proof of its
	// connection, because it has become visible, has been asleep or has changed its network. On a
	// link on which connecting took longer it is as long as that. A tab that gets none connects
	// anew.
	ProofTimeout = 2 * time.Second

	// SleepGap is how late the tab's timers may be before it takes the time for sleep.
	SleepGap = 5 * time.Second

	// AnswerTimeout is how long a replica that says it is live may take to answer an op before
	// the tab connects anew.
	AnswerTimeout = 8 * time.Second

	// ReconnectMin is the bound of the first pause between two attempts to connect. The pause is
	// a random time below the bound (full jitter), which doubles with each attempt.
	ReconnectMin = 500 * time.Millisecond

	// ReconnectMax is where that bound stops to grow.
	ReconnectMax = 5 * time.Second

	// PauseTimeout is how long a tab may be without a connection and without an attempt to get
	// one: longer than ReconnectMax, after which something has gone wrong.
	PauseTimeout = 8 * time.Second

	// ShortConnection is how long a connection must last to count as one that worked: the pauses
	// go on growing after one that did not.
	ShortConnection = 10 * time.Second
)

// What a tab does with ops.
const (
	// MaxEvent is the longest message a tab may send, in bytes.
	MaxEvent = 4096

	// MaxOutbox is how many ops of one page on one topic may wait: as many as lie from the lowest
	// whose entry is in the outbox to the newest. It takes no more.
	MaxOutbox = 200

	// RetryMin is the first pause before a tab sends again what a replica could not take. It
	// doubles each time, with a jitter of a quarter more or less.
	RetryMin = 1 * time.Second

	// RetryMax is where that pause stops to grow, before the jitter.
	RetryMax = 5 * time.Second

	// FinPause is how long nothing of a page must wait on a topic before it says that it needs no
	// more answers there.
	FinPause = 1 * time.Minute

	// OrphanAge is how old an op in the outbox must be before another page sends it, in browsers
	// that can't tell whether the page lives that made it.
	OrphanAge = 10 * time.Second

	// StrangerAge is how long an op stays in the outbox that was made by somebody else in the same
	// browser, who does not come back, and of which the person there was told. After that nobody
	// would know whether it was applied.
	StrangerAge = 60 * 24 * time.Hour

	// OpenTimeout is how long a browser may take to open its database before the page says that it
	// keeps nothing.
	OpenTimeout = 5 * time.Second

	// CastPause is the pause between two casts of one name on one topic.
	CastPause = 100 * time.Millisecond
)

// What a tab does whose network has no websockets: see package live/httplive.
const (
	// StreamTimeout is how long a stream may take to bring its first event. Otherwise something
	// holds it back, and the tab asks from time to time.
	StreamTimeout = 5 * time.Second

	// ExchangeTimeout is how long a replica may take for the answer to an exchange.
	ExchangeTimeout = 10 * time.Second

	// StreamSlots is how many tabs of a browser have a stream at a time with HTTP/1: it has six
	// connections to a server, and clicks and pages need some.
	StreamSlots = 4

	// SlotLifetime is how long a tab that says nothing any more keeps one of them.
	SlotLifetime = 6 * time.Second

	// PollVisible is the pause between two questions of a tab that has no stream.
	PollVisible = 1 * time.Second

	// PollHidden is the same for a tab that nobody looks at.
	PollHidden = 10 * time.Second

	// ProbeMin is the first pause before a tab without a socket tries to get one again. It
	// doubles each time.
	ProbeMin = 5 * time.Second

	// ProbeMax is where that pause stops to grow.
	ProbeMax = 5 * time.Minute

	// ProbeTimeout is how long such a try may take.
	ProbeTimeout = 15 * time.Second
)
