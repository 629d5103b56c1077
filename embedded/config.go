package embedded

import (
	"flag"
	"fmt"
	"net"
)

// Config says where the broker listens and what it keeps.
type Config struct {
	Listen          string `yaml:"listen"`
	Advertise       string `yaml:"advertise"`
	AllowRemote     bool   `yaml:"allow_remote"`
	SyncWrites      bool   `yaml:"sync_writes"`
	MaxMessageBytes int    `yaml:"max_message_bytes"`

	// Dir is where records are kept. Empty: in memory, gone with the process. It is given by whoever owns the data directory.
	Dir string `yaml:"-"`
}

// RegisterFlags adds the -embedded.* flags to f and sets the defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Listen, "embedded.listen", "127.0.0.1:19092", "Address the embedded broker listens on. Port 0 takes a free one.")
	f.StringVar(&c.Advertise, "embedded.advertise", "", "Host name the embedded broker tells its clients to connect to. Empty: the host of -embedded.listen.")
	f.BoolVar(&c.AllowRemote, "embedded.allow-remote", false, "Listen on an address that other machines reach. The embedded broker knows no users: whoever reaches it can read and write everything.")
	f.BoolVar(&c.SyncWrites, "embedded.sync-writes", false, "Sync every batch to disk before it is acknowledged: slow, but acknowledged records survive a power cut.")
	f.IntVar(&c.MaxMessageBytes, "embedded.max-message-bytes", 10<<20, "Largest batch the embedded broker takes for topics that say nothing themselves.")
}

// Validate says which flag has a value it cannot have.
func (c *Config) Validate() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("-embedded.listen %q: an address has the form host:port", c.Listen)
	}
	if !c.AllowRemote && !loopback(host) {
		return fmt.Errorf("-embedded.listen %q can be reached from other machines, and the embedded broker knows no users: use a loopback address, or say -embedded.allow-remote", c.Listen)
	}
	if c.MaxMessageBytes < 1024 || c.MaxMessageBytes > 256<<20 {
		return fmt.Errorf("-embedded.max-message-bytes is %d: allowed are 1024 to %d", c.MaxMessageBytes, 256<<20)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// advertised is the host that clients are told to connect to, given the host listened on.
func (c *Config) advertised(listening string) string {
	if c.Advertise != "" {
		return c.Advertise
	}
	if ip := net.ParseIP(listening); ip != nil && ip.IsUnspecified() {
		return "localhost" // every address is listened on, and none of them can be dialled as such
	}
	return listening
}
