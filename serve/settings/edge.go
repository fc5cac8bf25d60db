package settings

import "lockstep/serve"

// An Edge says how the public listeners treat clients: whom they believe, what clients may take,
// and how long they may hold it.
type Edge struct {
	Proxies
	Limits
	Timeouts
}

// Define adds the flags. validBasePath says which paths the server can be reached below.
func (e *Edge) Define(fs *Set, validBasePath func(string) bool) {
	e.Proxies.define(fs, validBasePath)
	e.Limits.define(fs)
	e.Timeouts.define(fs)
}

// Check returns what is wrong with what was said. It wraps ErrUsage.
func (e *Edge) Check() error {
	if err := e.Limits.check(); err != nil {
		return err
	}
	return e.Timeouts.check()
}

// ForServer returns what clients may take of one of several replicas, of which all together may
// have a number of connections; 0 is no limit.
func (e *Edge) ForServer(conns, replicas int) serve.Limits {
	l := e.Limits.forServer(conns, replicas)
	l.WriteTimeout, l.PingInterval, l.PongTimeout = e.WriteTimeout, OrNone(e.PingInterval), e.PongTimeout
	return l
}
