package main

import (
	"net"
	"strconv"

	"lockstep/serve/settings"
)

// addressFlags say where the process listens.
type addressFlags struct {
	Addr  string // host:port
	Admin string // host:port, "" for none
}

func (a *addressFlags) define(fs *settings.Set) {
	fs.Group("Addresses")
	fs.Text(&a.Addr, "addr", "localhost:8000", "listen `address`; PORT is understood too. With -replicas the balancer listens here and the replicas on the next ports")
	fs.Text(&a.Admin, "admin", "localhost:0", "`address` for metrics, pprof and health, never the public one; \"off\" for none")
	fs.Env["admin"] = "ADMIN_ADDR"
}

// check checks the addresses for a number of replicas. It makes "off" of -admin "".
func (a *addressFlags) check(replicas int) error {
	if err := checkAddr("-addr", a.Addr); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(a.Addr)
	if n, _ := strconv.Atoi(port); replicas > 1 && n != 0 && n+replicas > 65535 {
		return settings.Wrong("-addr: there are no %d ports after %d", replicas, n)
	}
	return a.checkAdmin(replicas)
}

func (a *addressFlags) checkAdmin(replicas int) error {
	if a.Admin == "off" {
		a.Admin = ""
	}
	if a.Admin == "" {
		return nil
	}
	if err := checkAddr("-admin", a.Admin); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(a.Admin)
	publicHost, publicPort, _ := net.SplitHostPort(a.Addr)
	if port == "0" { // any that is free
		return nil
	}
	if host == publicHost && port == publicPort {
		return settings.Wrong("-admin: must not be the public address %s", a.Addr)
	}
	admin, _ := strconv.Atoi(port)
	first, _ := strconv.Atoi(publicPort)
	if replicas > 1 && first > 0 && admin > first && admin <= first+replicas {
		return settings.Wrong("-admin: port %d is that of a replica: -replicas %d takes those up to %d", admin, replicas, first+replicas)
	}
	return nil
}

// checkKnown checks that others can know where the server listens.
func (a *addressFlags) checkKnown() error {
	if _, port, _ := net.SplitHostPort(a.Addr); port == "0" {
		return settings.Wrong("-addr: port 0 is another one each time; -healthcheck needs to know it")
	}
	return checkAddr("-addr", a.Addr)
}

func checkAddr(name, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		meant := ""
		if _, err := strconv.ParseUint(addr, 10, 16); err == nil {
			meant = ": did you mean localhost:" + addr + "?"
		}
		return settings.Wrong("%s: %q is not an address such as localhost:8000%s", name, addr, meant)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return settings.Wrong("%s: %q is not a port number", name, port)
	}
	return nil
}
