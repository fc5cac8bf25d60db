// Made from htmx/limits.go by "make generate": change it there.

// STATUS_INTERVAL is how often a replica tells each tab its status, changed or not, unless it says
// another beat in that status. In milliseconds.
export const STATUS_INTERVAL = 20000;

// PING_INTERVAL is how often a replica looks for tabs from which nothing has come. It pings such a
// tab after half as long again at most, because a tab may have spoken just before. In milliseconds.
export const PING_INTERVAL = 30000;

// PONG_TIMEOUT is how long a tab may take to answer a ping. In milliseconds.
export const PONG_TIMEOUT = 30000;

// CONNECT_TIMEOUT is how long an attempt to connect may take at first, until the replica has said
// something: on a link with long round trips T_L_S and the websocket need several of them. The
// limit doubles with each attempt that takes longer, is kept for the attempts after one that
// worked, and halves again with each that needs less than a quarter of it. In milliseconds.
export const CONNECT_TIMEOUT = 5000;

// CONNECT_TIMEOUT_MAX is where that limit stops to grow. In milliseconds.
export const CONNECT_TIMEOUT_MAX = 30000;

// SILENCE_TIMEOUT is how long a connection may be silent before the tab connects anew: two statuses
// may be lost. It is for STATUS_INTERVAL. Of a replica that says another beat it is as many of
// those, but SILENCE_TIMEOUT_MIN at least. After half of it the tab asks for a proof. In
// milliseconds.
export const SILENCE_TIMEOUT = 45000;

// SILENCE_TIMEOUT_MIN is the least that SILENCE_TIMEOUT becomes with a short beat. In milliseconds.
export const SILENCE_TIMEOUT_MIN = 5000;

// PROOF_TIMEOUT is how long a replica may take to answer a tab that asks for a proof of its
// connection, because it has become visible, has been asleep or has changed its network. On a link
// on which connecting took longer it is as long as that. A tab that gets none connects anew. In
// milliseconds.
export const PROOF_TIMEOUT = 2000;

// SLEEP_GAP is how late the tab's timers may be before it takes the time for sleep. In
// milliseconds.
export const SLEEP_GAP = 5000;

// ANSWER_TIMEOUT is how long a replica that says it is live may take to answer an op before the tab
// connects anew. In milliseconds.
export const ANSWER_TIMEOUT = 8000;

// RECONNECT_MIN is the bound of the first pause between two attempts to connect. The pause is a
// random time below the bound (full jitter), which doubles with each attempt. In milliseconds.
export const RECONNECT_MIN = 500;

// RECONNECT_MAX is where that bound stops to grow. In milliseconds.
export const RECONNECT_MAX = 5000;

// PAUSE_TIMEOUT is how long a tab may be without a connection and without an attempt to get one:
// longer than RECONNECT_MAX, after which something has gone wrong. In milliseconds.
export const PAUSE_TIMEOUT = 8000;

// SHORT_CONNECTION is how long a connection must last to count as one that worked: the pauses go on
// growing after one that did not. In milliseconds.
export const SHORT_CONNECTION = 10000;

// MAX_EVENT is the longest message a tab may send, in bytes.
export const MAX_EVENT = 4096;

// MAX_OUTBOX is how many ops of one page on one topic may wait: as many as lie from the lowest
// whose entry is in the outbox to the newest. It takes no more.
export const MAX_OUTBOX = 200;

// RETRY_MIN is the first pause before a tab sends again what a replica could not take. It doubles
// each time, with a jitter of a quarter more or less. In milliseconds.
export const RETRY_MIN = 1000;

// RETRY_MAX is where that pause stops to grow, before the jitter. In milliseconds.
export const RETRY_MAX = 5000;

// FIN_PAUSE is how long nothing of a page must wait on a topic before it says that it needs no more
// answers there. In milliseconds.
export const FIN_PAUSE = 60000;

// ORPHAN_AGE is how old an op in the outbox must be before another page sends it, in browsers that
// can't tell whether the page lives that made it. In milliseconds.
export const ORPHAN_AGE = 10000;

// STRANGER_AGE is how long an op stays in the outbox that was made by somebody else in the same
// browser, who does not come back, and of which the person there was told. After that nobody would
// know whether it was applied. In milliseconds.
export const STRANGER_AGE = 5184000000;

// OPEN_TIMEOUT is how long a browser may take to open its database before the page says that it
// keeps nothing. In milliseconds.
export const OPEN_TIMEOUT = 5000;

// CAST_PAUSE is the pause between two casts of one name on one topic. In milliseconds.
export const CAST_PAUSE = 100;

// STREAM_TIMEOUT is how long a stream may take to bring its first event. Otherwise something holds
// it back, and the tab asks from time to time. In milliseconds.
export const STREAM_TIMEOUT = 5000;

// EXCHANGE_TIMEOUT is how long a replica may take for the answer to an exchange. In milliseconds.
export const EXCHANGE_TIMEOUT = 10000;

// STREAM_SLOTS is how many tabs of a browser have a stream at a time with H_T_T_P/1: it has six
// connections to a server, and clicks and pages need some.
export const STREAM_SLOTS = 4;

// SLOT_LIFETIME is how long a tab that says nothing any more keeps one of them. In milliseconds.
export const SLOT_LIFETIME = 6000;

// POLL_VISIBLE is the pause between two questions of a tab that has no stream. In milliseconds.
export const POLL_VISIBLE = 1000;

// POLL_HIDDEN is the same for a tab that nobody looks at. In milliseconds.
export const POLL_HIDDEN = 10000;

// PROBE_MIN is the first pause before a tab without a socket tries to get one again. It doubles
// each time. In milliseconds.
export const PROBE_MIN = 5000;

// PROBE_MAX is where that pause stops to grow. In milliseconds.
export const PROBE_MAX = 300000;

// PROBE_TIMEOUT is how long such a try may take. In milliseconds.
export const PROBE_TIMEOUT = 15000;
