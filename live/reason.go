package live

import (
	"iter"
	"log/slog"
)

// A Code says why a connection is closed. The numbers are those of websocket
// close codes (RFC 6455 §7.4 and the IANA registry).
type Code int

// The codes a connection is closed with.
const (
	CodeNormal      Code = 1000
	CodeProtocol    Code = 1002
	CodeUnsupported Code = 1003 // a type of data that cannot be accepted
	CodeLost        Code = 1006 // never sent: the connection ended without a close frame
	CodeInvalid     Code = 1007 // text that is not what it should be
	CodeAbuse       Code = 1008 // the tab does what no honest page does
	CodeTooLong     Code = 1009
	CodeInternal    Code = 1011 // the view failed
	CodeRestart     Code = 1012 // this replica shuts down, or has more tabs than others: connect again, elsewhere
	CodeOverload    Code = 1013 // the tab reads too slowly or not at all, or there are too many
)

// A Reason is why a session ended. Each session has exactly one, which is
// logged and counted once, when the session is gone: see Runtime.Closed.
// docs/operations.md has a row for each. The zero Reason is none.
type Reason uint8

// The reasons. The first two are the tab's and its connection's, those up to
// ReasonUnanswered a transport's, the others the runtime's.
const (
	ReasonLeft Reason = iota + 1 // the tab closed the connection
	ReasonLost                   // the connection ended without a word

	ReasonProtocol       // the tab breaks the protocol of the transport
	ReasonNotText        // a binary message
	ReasonNotUTF8        // a text message, or the reason of a close frame, that is not UTF-8
	ReasonCompression    // a message that can't be decompressed
	ReasonTooLong        // a message of more than htmx.MaxEvent bytes
	ReasonSlowMessage    // a message that has begun and does not end
	ReasonTooManyFrames  // a message in too many frames
	ReasonTooManyControl // too many control frames
	ReasonInboxFull      // messages come faster than they are handled, and the transport can't slow the tab down
	ReasonKeepalive      // no answer to a ping
	ReasonTransport      // this replica can't serve the connection any more
	ReasonRenewed        // a stream has lasted as long as one may: the tab opens the next
	ReasonUnanswered     // an op had no answer in the time that a request may take

	ReasonMalformed       // too many messages that can't be parsed
	ReasonTooManyMessages // the tab goes on although its messages are refused: see Limiter
	ReasonSendTimeout     // the tab took nothing for Options.SendTimeout
	ReasonBacklog         // too much waits for the tab
	ReasonAnswered        // Session.Finish: one request has its answer
	ReasonMountFailed     // View.Mount failed or panicked
	ReasonViewFailed      // another method of the view failed or panicked
	ReasonDrain           // Runtime.Drain
	ReasonRebalance       // Runtime.Shed
	ReasonOperator        // Runtime.CloseTab, Runtime.CloseTopic
	ReasonStopped         // Runtime.Stop, or the end of the transport
	ReasonNotServing      // the tab came before Start, or after Drain or Stop
)

// lastReason is the greatest Reason.
const lastReason = ReasonNotServing

// Reasons returns all reasons, in the order of their numbers.
func Reasons() iter.Seq[Reason] {
	return func(yield func(Reason) bool) {
		for r := Reason(1); r <= lastReason; r++ {
			if !yield(r) {
				return
			}
		}
	}
}

// String is the reason's name in the log and in metrics.
func (r Reason) String() string { return r.facts().name }

// Code is what the connection is closed with.
func (r Reason) Code() Code { return r.facts().code }

// Text is what the tab is told beside the code; it may be empty.
func (r Reason) Text() string { return r.facts().text }

// waits reports whether the tab's ops are answered before the connection is closed.
func (r Reason) waits() bool { return r.Code() == CodeRestart || r == ReasonAnswered }

// facts are what is known of a Reason.
type facts struct {
	name  string
	code  Code
	text  string
	level slog.Level // of the log line: Debug for what is ordinary, Info for what may explain a trouble
}

func (r Reason) facts() facts {
	const debug, info, warn, fail = slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError
	return [lastReason + 1]facts{
		0: {"none", 0, "", debug},

		ReasonLeft: {"left", CodeNormal, "", debug},
		ReasonLost: {"lost", CodeLost, "", debug},

		ReasonProtocol:       {"protocol_error", CodeProtocol, "", info},
		ReasonNotText:        {"not_text", CodeUnsupported, "text only", info},
		ReasonNotUTF8:        {"not_utf8", CodeInvalid, "not UTF-8", info},
		ReasonCompression:    {"bad_compression", CodeInvalid, "not compressed with deflate", info},
		ReasonTooLong:        {"too_long", CodeTooLong, "a message that is too long", info},
		ReasonSlowMessage:    {"slow_message", CodeAbuse, "a message that takes too long", info},
		ReasonTooManyFrames:  {"too_many_frames", CodeAbuse, "a message in too many frames", info},
		ReasonTooManyControl: {"too_many_control_frames", CodeAbuse, "too many control frames", info},
		ReasonInboxFull:      {"inbox_full", CodeOverload, "too many messages at once", info},
		ReasonKeepalive:      {"keepalive_lost", CodeOverload, "no answer to a ping", debug},
		ReasonTransport:      {"transport_failed", CodeInternal, "", warn},
		ReasonRenewed:        {"renewed", CodeNormal, "open the next stream", debug},
		ReasonUnanswered:     {"unanswered", CodeOverload, "no answer in time", info},

		ReasonMalformed:       {"malformed", CodeAbuse, "too many malformed messages", info},
		ReasonTooManyMessages: {"too_many_messages", CodeAbuse, "too many messages", info},
		ReasonSendTimeout:     {"send_timeout", CodeOverload, "too slow", info},
		ReasonBacklog:         {"backlog", CodeOverload, "too slow", info},
		ReasonAnswered:        {"answered", CodeNormal, "", debug},
		ReasonMountFailed:     {"mount_failed", CodeInternal, "this page failed", fail},
		ReasonViewFailed:      {"view_failed", CodeInternal, "this page failed", fail},
		ReasonDrain:           {"drain", CodeRestart, "this replica restarts", debug},
		ReasonRebalance:       {"rebalance", CodeRestart, "another replica has more room", debug},
		ReasonOperator:        {"operator", CodeRestart, "an operator asks for a new connection", info},
		ReasonStopped:         {"stopped", CodeRestart, "this replica restarts", debug},
		ReasonNotServing:      {"not_serving", CodeRestart, "this replica is shutting down", debug},
	}[r]
}
