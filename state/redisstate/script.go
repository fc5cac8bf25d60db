package redisstate

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is how Redis names scripts
	"encoding/hex"

	"github.com/redis/go-redis/v9"
)

// A script is one of scripts.go, and the name that Redis gives it.
type script struct{ source, hash string }

func newScript(source string) script {
	hash := sha1.Sum([]byte(source)) //nolint:gosec // it is how Redis names scripts
	return script{source, hex.EncodeToString(hash[:])}
}

// A call is one call of a script.
type call struct {
	keys []string
	args []any
}

// A reply is what came of a call. Its err is Redis's own, or the connection's:
// then nobody knows whether the call was done.
type reply struct {
	values []any
	err    error
}

// run makes calls of a script in one round trip, or in two where Redis does
// not have it. Each succeeds or fails by itself.
func (s *Store) run(ctx context.Context, sc script, calls ...call) []reply {
	c := s.pool.Client()
	replies := send(ctx, c, "evalsha", sc.hash, calls)
	var missing []int
	var again []call
	for i := range replies {
		if redis.HasErrorPrefix(replies[i].err, "NOSCRIPT") {
			missing, again = append(missing, i), append(again, calls[i])
		}
	}
	if len(missing) > 0 {
		for k, r := range send(ctx, c, "eval", sc.source, again) {
			replies[missing[k]] = r
		}
	}
	for i := range replies {
		if replies[i].err != nil {
			s.pool.Failed(c, replies[i].err)
		}
	}
	return replies
}

// send makes calls of a script, which command says how to name.
func send(ctx context.Context, c redis.UniversalClient, command, name string, calls []call) []reply {
	cmds := make([]*redis.Cmd, len(calls))
	pipe := c.Pipeline()
	for i := range calls {
		args := make([]any, 0, 3+len(calls[i].keys)+len(calls[i].args))
		args = append(args, command, name, len(calls[i].keys))
		for _, key := range calls[i].keys {
			args = append(args, key)
		}
		cmds[i] = redis.NewCmd(ctx, append(args, calls[i].args...)...)
		_ = pipe.Process(ctx, once{cmds[i]}) // it puts it into the pipeline
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	replies := make([]reply, len(calls))
	for i, cmd := range cmds {
		replies[i].values, replies[i].err = cmd.Slice()
	}
	return replies
}

// once is a command that a client for a cluster does not send again when its
// answer was lost: it would come back as a conflict with itself.
type once struct{ *redis.Cmd }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }

// cluster reports whether a call may touch one part only.
func (s *Store) cluster() bool {
	_, yes := s.pool.Client().(*redis.ClusterClient)
	return yes
}
