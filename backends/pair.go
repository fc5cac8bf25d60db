package backends

import (
	"strings"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/dualpubsub"
)

// pairOf returns two brokers that are used at once: their URLs have a space between them. Others
// have no space in them, and addresses of a cluster have commas.
func pairOf(url string) (first, second string, ok bool) {
	f := strings.Fields(url)
	if len(f) != 2 {
		return "", "", false
	}
	return f[0], f[1], true
}

// checkPair returns what is wrong with two brokers.
func checkPair(first, second string) error {
	for _, url := range []string{first, second} {
		// What is shown of a scheme may be a part of a password.
		if _, known := backendOf(url); !known {
			return wrongURL("not two URLs with a space between, which start with one of %s; a space in a password is written as %%20", strings.Join(BrokerSchemes(), ", "))
		}
		if err := checkURL(url, BrokerSchemes()); err != nil {
			return err
		}
		if !Shared(url) {
			return wrongURL("%s is this process's own: two brokers at once are two that replicas share", schemeOf(url))
		}
	}
	if first == second {
		return wrongURL("two brokers at once are two, and these are one")
	}
	return nil
}

// dual returns the driver over two brokers.
func dual(first, second string, o *Options) (driver.Driver, error) {
	one, err := single(first, o)
	if err != nil {
		return nil, err
	}
	other, err := single(second, o)
	if err != nil {
		return nil, err
	}
	return dualpubsub.NewDriver(one, other, &dualpubsub.Options{
		Prefix: o.Prefix, First: placeOf(first), Second: placeOf(second), Preconditions: o.BrokerUnmet,
	}), nil
}
