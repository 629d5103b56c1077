package commands

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/internal/access"
	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/topology"
)

// embeddedBroker is where the embedded broker of freshet run listens unless it is told otherwise.
const embeddedBroker = "127.0.0.1:19092"

// connectTimeout is how long brokers may take to answer before a command gives up on them.
const connectTimeout = 10 * time.Second

// kafkaFlags say where the brokers are, for commands that are their clients.
type kafkaFlags struct {
	brokers string
	access  access.Config
}

func (k *kafkaFlags) register(f *flag.FlagSet) {
	f.StringVar(&k.brokers, "kafka.brokers", embeddedBroker, "Kafka brokers, host:port, separated by commas. Default: where the embedded broker listens.")
	k.access.RegisterFlags(f)
}

// cluster returns the cluster that is meant.
func (k *kafkaFlags) cluster() (access.Cluster, error) {
	brokers, err := k.list()
	if err != nil {
		return access.Cluster{}, err
	}
	if err := k.access.Validate(); err != nil {
		return access.Cluster{}, cli.Usage(err)
	}
	c, err := k.access.Cluster(brokers...)
	return c, cli.Usage(err)
}

func (k *kafkaFlags) list() ([]string, error) {
	var all []string
	for b := range strings.SplitSeq(k.brokers, ",") {
		if b = strings.TrimSpace(b); b == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(b); err != nil {
			return nil, cli.Usagef("-kafka.brokers %q: %q is not host:port", k.brokers, b)
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		return nil, cli.Usagef("-kafka.brokers %q: names no broker", k.brokers)
	}
	return all, nil
}

// connect returns a client whose brokers have answered.
func (k *kafkaFlags) connect(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	cluster, err := k.cluster()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(cluster.Kgo(opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", k.brokers, err)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, cli.Unavailable(fmt.Errorf("connect to %s: %w", k.brokers, err))
	}
	return client, nil
}

// graphFlags say what the stream graph is: the contract, if there is one, and what the operator decides.
type graphFlags struct {
	contracts, partitioner string
	topics                 topology.Config
}

func (g *graphFlags) register(f *flag.FlagSet) {
	f.StringVar(&g.contracts, "contracts.file", "", "The contract, for the topics and the partitioner it declares. Empty: the default topics.")
	f.StringVar(&g.partitioner, "partitioner", "", "How keys are placed: murmur2, crc32 or fnv1a. Empty: as the contract says, else murmur2.")
	g.topics.RegisterFlags(f)
}

func (g *graphFlags) graph() (*topology.Graph, error) {
	if err := g.topics.Validate(); err != nil {
		return nil, cli.Usage(err)
	}
	graph, err := g.declared()
	if err != nil {
		return nil, err
	}
	if g.partitioner != "" {
		if graph.Partitioner, err = topology.ParsePartitioner(g.partitioner); err != nil {
			return nil, cli.Usagef("-partitioner: %w", err)
		}
	}
	return graph, nil
}

func (g *graphFlags) declared() (*topology.Graph, error) {
	if g.contracts == "" {
		graph, err := topology.New(g.topics, topology.Spec{})
		return graph, cli.Usage(err)
	}
	file, err := readContract(g.contracts)
	if err != nil {
		return nil, err
	}
	graph, err := topology.FromContract(g.topics, file)
	return graph, cli.Usage(err)
}

// dir is what the paths in the contract are relative to.
func (g *graphFlags) dir() string { return filepath.Dir(g.contracts) }

// readContract reads a contract that a command needs; a contract with errors is a matter of configuration. The commands that read one tell
// nobody, so its secrets need not be there.
func readContract(path string) (*slo.File, error) {
	if path == "" {
		return nil, cli.Usagef("-contracts.file is required: it names the contract")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, cli.Usagef("-contracts.file: %w", err)
	}
	file, err := slo.Parse(text, path, nil)
	return file, cli.Usage(err)
}
