package main

import (
	"net"
	"strconv"
)

// addressFlags say where the process listens.
type addressFlags struct {
	Addr  string // host:port
	Admin string // host:port, "" for none
}

func (a *addressFlags) define(fs *flagSet) {
	fs.group("Addresses")
	fs.text(&a.Addr, "addr", "localhost:8000", "listen `address`; PORT is understood too. With -replicas the balancer listens here and the replicas on the next ports")
	fs.text(&a.Admin, "admin", "localhost:0", "`address` for metrics, pprof and health, never the public one; \"off\" for none")
	fs.env["admin"] = "ADMIN_ADDR"
}

// check checks the addresses for a number of replicas. It makes "off" of -admin "".
func (a *addressFlags) check(replicas int) error {
	if err := checkAddr("-addr", a.Addr); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(a.Addr)
	if n, _ := strconv.Atoi(port); replicas > 1 && n != 0 && n+replicas > 65535 {
		return usageError("-addr: there are no %d ports after %d", replicas, n)
	}
	return a.checkAdmin()
}

func (a *addressFlags) checkAdmin() error {
	if a.Admin == "off" {
		a.Admin = ""
	}
	if a.Admin == "" {
		return nil
	}
	if err := checkAddr("-admin", a.Admin); err != nil {
		return err
	}
	if a.Admin == a.Addr {
		return usageError("-admin: must not be the public address %s", a.Addr)
	}
	return nil
}

// checkKnown checks that others can know where the server listens.
func (a *addressFlags) checkKnown() error {
	if _, port, _ := net.SplitHostPort(a.Addr); port == "0" {
		return usageError("-addr: port 0 is another one each time; -healthcheck needs to know it")
	}
	return checkAddr("-addr", a.Addr)
}

func checkAddr(name, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return usageError("%s: %q is not an address such as localhost:8000", name, addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return usageError("%s: %q is not a port number", name, port)
	}
	return nil
}
