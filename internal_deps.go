package freshet

import (
	_ "charm.land/bubbletea/v2"
	_ "charm.land/lipgloss/v2"
	_ "github.com/IBM/sarama"
	_ "github.com/cespare/xxhash/v2"
	_ "github.com/cockroachdb/datadriven"
	_ "github.com/cockroachdb/pebble/v2"
	_ "github.com/go-kit/log"
	_ "github.com/grafana/dskit/flagext"
	_ "github.com/grafana/dskit/modules"
	_ "github.com/grafana/dskit/services"
	_ "github.com/lovoo/goka"
	_ "github.com/prometheus/client_golang/prometheus"
	_ "github.com/twmb/franz-go/pkg/kadm"
	_ "github.com/twmb/franz-go/pkg/kfake"
	_ "github.com/twmb/franz-go/pkg/kgo"
	_ "github.com/twmb/franz-go/pkg/kmsg"
	_ "go.yaml.in/yaml/v3"
	_ "golang.org/x/term"
	_ "golang.org/x/sync/errgroup"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
)
