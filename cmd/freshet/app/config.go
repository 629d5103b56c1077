package app

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/alerts/dispatch"
	"github.com/freshet-io/freshet/embedded"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/internal/otlp"
	"github.com/freshet-io/freshet/processors/alerting"
	"github.com/freshet-io/freshet/processors/gateway"
	"github.com/freshet-io/freshet/query"
	"github.com/freshet-io/freshet/query/peer"
	"github.com/freshet-io/freshet/topology"
)

// Config is everything `freshet run` can be told.
type Config struct {
	Target        string
	ContractsFile string
	Brokers       string
	DataDir       string
	HTTPListen    string
	Insecure      bool
	InstanceID    string
	MemoryLimit   string
	MemTableBytes int
	ReadyLag      time.Duration

	Access   access.Config
	Peer     peer.Config
	Topics   topology.Config
	Embedded embedded.Config
	Gateway  gateway.Config
	Query    query.Config
	Alerting alerting.Config
	Dispatch dispatch.Config
	OTLP     otlp.Config
}

// Targets are the values of -target.
func Targets() []string { return []string{All, Processor, Dispatcher} }

// RegisterFlags declares the flags with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	host, err := os.Hostname()
	if err != nil {
		host = "freshet"
	}
	f.StringVar(&c.Target, "target", All, "What to run: "+strings.Join(Targets(), ", ")+".")
	f.StringVar(&c.ContractsFile, "contracts.file", "", "The contract: who owns what, and how fresh context has to be. Required.")
	f.StringVar(&c.Brokers, "kafka.brokers", "", "Kafka brokers, host:port, separated by commas. Empty: start the embedded broker.")
	f.StringVar(&c.DataDir, "data.dir", "freshet-data", "Directory for rows, and for the records of the embedded broker. Empty: in memory.")
	f.StringVar(&c.HTTPListen, "http.listen", "127.0.0.1:8080", "Address of the HTTP server. Empty: none. Port 0 takes a free one.")
	f.BoolVar(&c.Insecure, "insecure", false, "Let HTTP listen on an address that other machines reach, without authentication.")
	f.StringVar(&c.InstanceID, "instance.id", host, "Name of this instance among those that share the work; it has to be stable over restarts.")
	f.StringVar(&c.MemoryLimit, "memory.limit", "", "Soft limit of the Go heap, such as 2GiB. Empty: 3/4 of what the machine or the cgroup has, unless GOMEMLIMIT is set.")
	f.IntVar(&c.MemTableBytes, "state.memtable-bytes", 128<<20, "Rows that Pebble collects in memory before it writes a file. Less takes less memory, and more writing.")
	f.DurationVar(&c.ReadyLag, "ready.max-lag", 30*time.Second, "How far the clocks of a ready instance may be behind.")
	c.Access.RegisterFlags(f)
	c.Peer.RegisterFlags(f)
	c.Topics.RegisterFlags(f)
	c.Embedded.RegisterFlags(f)
	c.Gateway.RegisterFlags(f)
	c.Query.RegisterFlags(f)
	c.Alerting.RegisterFlags(f)
	c.Dispatch.RegisterFlags(f)
	c.OTLP.RegisterFlags(f)
}

// Validate names the flag, the value and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	if !slices.Contains(Targets(), c.Target) {
		errs = append(errs, fmt.Errorf("-target %q: must be one of %s", c.Target, strings.Join(Targets(), ", ")))
	}
	if c.ContractsFile == "" {
		errs = append(errs, errors.New("-contracts.file is required: it names the contract to judge by"))
	}
	if c.InstanceID == "" || strings.ContainsAny(c.InstanceID, "/~ \t\n") {
		errs = append(errs, fmt.Errorf("-instance.id %q: must be a name without spaces, / and ~", c.InstanceID))
	}
	if c.HTTPListen != "" {
		host, _, err := net.SplitHostPort(c.HTTPListen)
		ip := net.ParseIP(host)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("-http.listen %q: must be host:port", c.HTTPListen))
		case !c.Insecure && !c.Query.Auth.On() && host != "localhost" && (ip == nil || !ip.IsLoopback()):
			errs = append(errs, fmt.Errorf("-http.listen %q: other machines could reach it and nobody would be asked who they are; use a loopback address, give -auth.tokens-file or -auth.jwt.issuer, or say -insecure", c.HTTPListen))
		}
	}
	for _, b := range c.brokers() {
		if _, _, err := net.SplitHostPort(b); err != nil {
			errs = append(errs, fmt.Errorf("-kafka.brokers %q: %q is not host:port", c.Brokers, b))
		}
	}
	if c.MemTableBytes < 1<<20 || c.MemTableBytes > 1<<30 {
		errs = append(errs, fmt.Errorf("-state.memtable-bytes %d: must be between %d and %d", c.MemTableBytes, 1<<20, 1<<30))
	}
	if c.ReadyLag <= 0 {
		errs = append(errs, fmt.Errorf("-ready.max-lag %v: must be greater than 0", c.ReadyLag))
	}
	if c.MemoryLimit != "" {
		if _, err := parseBytes(c.MemoryLimit); err != nil {
			errs = append(errs, fmt.Errorf("-memory.limit %q: %w", c.MemoryLimit, err))
		}
	}
	if c.Brokers == "" && c.Access != (access.Config{}) {
		errs = append(errs, errors.New("-kafka.tls.* and -kafka.sasl.*: have no effect on the embedded broker; say -kafka.brokers, too"))
	}
	return errors.Join(append(errs, c.Access.Validate(), c.Peer.Validate(), c.Topics.Validate(), c.Embedded.Validate(), c.Gateway.Validate(), c.Query.Validate(), c.Alerting.Validate(), c.Dispatch.Validate(), c.OTLP.Validate())...)
}

// local says whether only this machine reaches the HTTP server.
func (c *Config) local() bool {
	host, _, _ := net.SplitHostPort(c.HTTPListen)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *Config) brokers() []string {
	var all []string
	for b := range strings.SplitSeq(c.Brokers, ",") {
		if b = strings.TrimSpace(b); b != "" {
			all = append(all, b)
		}
	}
	return all
}
