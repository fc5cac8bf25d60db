package serve

import (
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"lockstep/internal/limit"
)

const (
	// maxForwardedHosts is how many names of a request are read, and maxForwardedPrefix how long
	// the path before it may be, in bytes.
	maxForwardedHosts  = 8
	maxForwardedPrefix = 128
)

// A Forwarded is what is known of a request's sender, by the connection and by what trusted proxies
// say. It is in X-Forwarded-For and the like, as the large clouds write them, or in Forwarded
// (RFC 7239) where there is no X-Forwarded-For: a proxy sets one of them and passes the other on as
// the client wrote it, and almost all set the first.
type Forwarded struct {
	// Addr is the browser's address: the last one that is not of a trusted proxy, because each
	// appends the address that it has the request from. If all are, it is the first. Where one can't
	// be told ("unknown"), it is that of the proxy that says so. Not valid: the connection has none.
	Addr netip.Addr
	// Proxied: a trusted proxy says for whom it speaks.
	Proxied bool
	// Secure: the browser speaks TLS, to this server or to a trusted proxy.
	Secure bool
	// Hosts are the names, with ports, by which the browser may have asked, as trusted proxies say;
	// if they say nothing, Host.
	Hosts []string
	// Prefix is the path before this server's own that the browser asks by, as trusted proxies say:
	// "/shop/counter", or "". It is fit to stand in a page.
	Prefix string
}

// A Forwarding believes trusted proxies. It does not change, and may be used concurrently.
type Forwarding struct{ trusted []netip.Prefix }

// NewForwarding returns what believes the proxies of some networks. None: nobody.
func NewForwarding(proxies []netip.Prefix) Forwarding { return Forwarding{proxies} }

// Of returns what is known of the sender of a request.
func (f Forwarding) Of(r *http.Request) Forwarded {
	direct := Forwarded{Addr: remoteAddr(r), Secure: r.TLS != nil, Hosts: []string{r.Host}}
	if !limit.Contains(f.trusted, direct.Addr) {
		return direct
	}
	return f.byProxies(r, direct)
}

// byProxies adds what the headers say to what the connection says.
func (f Forwarding) byProxies(r *http.Request, said Forwarded) Forwarded {
	h := r.Header
	schemes, hosts := list(h, "X-Forwarded-Proto", "X-Forwarded-Scheme"), list(h, "X-Forwarded-Host")
	said.Proxied = f.follow(backwards(h["X-Forwarded-For"], false), &said.Addr, nil)
	if !said.Proxied {
		said.Proxied = f.follow(backwards(h["Forwarded"], true), &said.Addr, func(e element) {
			if e.proto != "" {
				schemes = []string{e.proto} // the last that is seen is of the browser's own hop
			}
			if e.host != "" && len(hosts) < maxForwardedHosts {
				hosts = append(hosts, e.host)
			}
		})
	}
	if len(schemes) == 0 && strings.EqualFold(h.Get("X-Forwarded-Ssl"), "on") {
		schemes = []string{"https"}
	}
	said.Secure = said.Secure || isSecure(schemes)
	if len(hosts) > 0 {
		said.Hosts = withPort(hosts, h.Get("X-Forwarded-Port"))
	}
	said.Prefix = forwardedPrefix(list(h, "X-Forwarded-Prefix"))
	return said
}

// follow goes from proxy to proxy towards the browser, and sets addr to the last address that is
// sure. It shows see each element of Forwarded that is a trusted proxy's word. It reports whether
// there is any hop.
func (f Forwarding) follow(hops iter.Seq[string], addr *netip.Addr, see func(element)) (found bool) {
	for hop := range hops {
		found = true
		node := hop
		if see != nil {
			e := parseElement(hop)
			see(e)
			node = e.node
		}
		a, ok := parseNode(node)
		if !ok {
			return found
		}
		*addr = a
		if !limit.Contains(f.trusted, a) {
			return found
		}
	}
	return found
}

// isSecure reports whether the first scheme, which is the browser's, is one with TLS. Some proxies
// name that of websockets (Traefik).
func isSecure(schemes []string) bool {
	return len(schemes) > 0 && (strings.EqualFold(schemes[0], "https") || strings.EqualFold(schemes[0], "wss"))
}

// withPort adds to hosts what they are with a port that a proxy tells apart from them.
func withPort(hosts []string, port string) []string {
	if port == "" || len(port) > len("65535") || strings.Trim(port, "0123456789") != "" {
		return hosts
	}
	all := slices.Clone(hosts)
	for _, host := range hosts {
		if hostOf(host) == strings.Trim(host, "[]") { // it has none
			all = append(all, host+":"+port)
		}
	}
	return all
}

// forwardedPrefix joins the prefixes that proxies have taken off, the outermost first. One that is
// not fit to stand in a page makes all of them none.
func forwardedPrefix(prefixes []string) string {
	var b strings.Builder
	for _, p := range prefixes {
		b.WriteString(strings.TrimRight(p, "/"))
	}
	if b.Len() > maxForwardedPrefix || !ValidBasePath(b.String()) {
		return ""
	}
	return b.String()
}

// list returns the values of the first of some headers that is there, in order: they stand by
// comma, in one line or in several. Only so many are read as hosts may be.
func list(h http.Header, names ...string) (values []string) {
	for _, name := range names {
		for _, line := range h[name] {
			for value := range strings.SplitSeq(line, ",") {
				if value = strings.Trim(value, " \t\""); value != "" && len(values) < maxForwardedHosts {
					values = append(values, value)
				}
			}
		}
		if len(values) > 0 {
			return values
		}
	}
	return nil
}

// backwards returns what stands by comma in the lines of a header, the last first; a comma in
// quotes, where there may be quotes, is no end. From behind, what a proxy has appended is read
// right whatever stands before it, a quote without an end too.
func backwards(lines []string, quotes bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range slices.Backward(lines) {
			for more := true; more; {
				i := lastOutside(line, ',', quotes)
				value := strings.Trim(line[i+1:], " \t")
				more = i >= 0
				line = line[:max(i, 0)]
				if value != "" && !yield(value) {
					return
				}
			}
		}
	}
}

// lastOutside returns where the last mark is that is not in quotes, or -1.
func lastOutside(s string, mark byte, quotes bool) int {
	inside := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case quotes && s[i] == '"':
			if !inside || !escaped(s[:i]) {
				inside = !inside
			}
		case s[i] == mark && !inside:
			return i
		}
	}
	return -1
}

// escaped reports whether what comes after s has a back slash of its own before it.
func escaped(s string) bool { return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1 }

// An element is what one proxy says in Forwarded: each may be "".
type element struct{ node, proto, host string }

// parseElement reads "for=…;proto=…;host=…", in any order (RFC 7239 §4). What it does not know, or
// can't read, is not there.
func parseElement(text string) (e element) {
	for more := true; more; {
		i := lastOutside(text, ';', true)
		name, value, _ := strings.Cut(text[i+1:], "=")
		switch strings.ToLower(strings.Trim(name, " \t")) {
		case "for":
			e.node = unquote(value)
		case "proto":
			e.proto = unquote(value)
		case "host":
			e.host = unquote(value)
		}
		more = i >= 0
		text = text[:max(i, 0)]
	}
	return e
}

// unquote takes the quotes off a value, if it has them, and the back slashes.
func unquote(value string) string {
	value = strings.Trim(value, " \t")
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return value
	}
	var b strings.Builder
	for i := 1; i < len(value)-1; i++ {
		if value[i] == '\\' && i+1 < len(value)-1 {
			i++
		}
		b.WriteByte(value[i])
	}
	return b.String()
}

// parseNode reads an address as proxies write it: with a port or without, an IPv6 address in
// brackets or without, with a zone, in quotes. A port may be hidden ("_x", RFC 7239 §6.3). False:
// it names nobody, as "unknown" and "_hidden" do.
func parseNode(text string) (netip.Addr, bool) {
	text = strings.Trim(text, " \t\"")
	a, err := netip.ParseAddr(text)
	if err != nil {
		host := text
		if i := strings.LastIndexByte(text, ':'); i >= 0 && isPort(text[i+1:]) {
			host = text[:i]
		}
		inner := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		a, err = netip.ParseAddr(inner)
		if err != nil || a.Is6() != (len(inner) == len(host)-2) { // IPv6, and only that, needs brackets
			return netip.Addr{}, false
		}
	}
	return a.Unmap().WithZone(""), true
}

// isPort reports whether text is the port of an address, as a number or hidden.
func isPort(text string) bool {
	if strings.HasPrefix(text, "_") {
		return len(text) > 1
	}
	return text != "" && len(text) <= len("65535") && strings.Trim(text, "0123456789") == ""
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr) // not valid: not an Internet address
	return ap.Addr().Unmap().WithZone("")
}

// stripForwarded removes the headers in which a proxy speaks for others. It reports whether there
// was one.
func stripForwarded(h http.Header) (found bool) {
	for name := range h {
		if speaksForOthers(name) {
			h.Del(name)
			found = true
		}
	}
	return found
}

// speaksForOthers reports whether a header is one by which proxies speak for others.
func speaksForOthers(name string) bool {
	return name == "Forwarded" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-")
}
