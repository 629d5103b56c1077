package edges

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/freshet-io/freshet/cmd/freshet/cli"
	"github.com/freshet-io/freshet/cmd/freshet/commands"
	"github.com/freshet-io/freshet/test/harness"
)

// TestMorePartitions does what the section of docs/operations.md says, command by command, in the middle of the golden set.
func TestMorePartitions(t *testing.T) {
	ctx := within(t)
	const before, after = 8, 12
	k := newKit(t, goldenContract(t, ""), harness.Options{Partitions: before})
	lines, want := goldenLines(t), goldenVerdicts(t)
	k.Load(ctx, lines[:len(lines)/2])
	k.Start(ctx)
	k.AwaitNow(ctx)
	k.Stop()

	k.Repartition(after)
	verify := "freshet topics verify -kafka.brokers $KAFKA -contracts.file contracts.yaml -topics.partitions 12"
	if status, said := k.operator(ctx, verify); status != 1 {
		t.Fatalf("topics that differ are verified with status %d: %s", status, said)
	}
	if err := k.TryStart(ctx); err == nil || !strings.Contains(err.Error(), "partitions") {
		t.Fatalf("with other partitions than its topics have, the engine ends with %v", err)
	}
	k.Stop()
	done := 0
	for _, command := range procedure(t) {
		k.Until(ctx, func() string { // a group has its members until their session times out
			if status, said := k.operator(ctx, command); status != 0 {
				return fmt.Sprintf("%s: status %d: %s", command, status, said)
			}
			return ""
		})
		done++
	}
	if done != 6+7+2+2 {
		t.Errorf("the procedure has %d commands", done)
	}
	k.LoseRows()
	k.Load(ctx, lines[len(lines)/2:])
	k.Start(ctx)
	k.AwaitNow(ctx)
	k.Verdicts().Compare(ctx, want)
	if k.Counted("freshet_events_total", map[string]string{"result": "rerouted"}) == 0 {
		t.Error("no record had to be copied")
	}
}

// procedure returns the commands of the section, loops written out.
func procedure(t *testing.T) (commands []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## More partitions\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var name string
	var values []string
	shell := false
	for line := range strings.SplitSeq(section, "\n") {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "```"):
			shell = line == "```sh"
		case !shell || len(words) == 0:
		case words[0] == "for":
			name, values = words[1], words[3:len(words)-1]
			values[len(values)-1] = strings.TrimSuffix(values[len(values)-1], ";")
		case line == "done":
			name, values = "", nil
		case name != "":
			for _, v := range values {
				commands = append(commands, strings.ReplaceAll(line, "$"+name, v))
			}
		default:
			commands = append(commands, line)
		}
	}
	return commands
}

// operator runs a command: one of Freshet as it is, one of Kafka's tools by what the tool asks of the brokers.
func (k *kit) operator(ctx context.Context, line string) (status int, said string) {
	k.t.Helper()
	words := strings.Fields(strings.ReplaceAll(line, "$KAFKA", strings.Join(k.Brokers(), ",")))
	if words[0] == "freshet" {
		for i := range words {
			if words[i] == "contracts.yaml" {
				words[i] = file(k.t, k.contract)
			}
		}
		var out bytes.Buffer
		status = commands.New().Main(ctx, words[1:], &cli.Stdio{In: strings.NewReader(""), Out: &out, Err: &out, Getenv: func(string) (string, bool) { return "", false }})
		return status, out.String()
	}
	option := func(name string) string {
		if i := slices.Index(words, name); i >= 0 && i+1 < len(words) {
			return words[i+1]
		}
		return ""
	}
	var err error
	switch tool := words[0] + " " + words[3]; tool {
	case "kafka-topics.sh --alter":
		n, _ := strconv.Atoi(option("--partitions"))
		var r kadm.CreatePartitionsResponses
		if r, err = k.Admin().UpdatePartitions(ctx, n, option("--topic")); err == nil {
			err = r.Error()
		}
	case "kafka-topics.sh --delete":
		var r kadm.DeleteTopicResponses
		if r, err = k.Admin().DeleteTopics(ctx, option("--topic")); err == nil {
			err = r.Error()
		}
	case "kafka-consumer-groups.sh --delete":
		var r kadm.DeleteGroupResponses
		if r, err = k.Admin().DeleteGroups(ctx, option("--group")); err == nil {
			err = r.Error()
		}
	default:
		k.t.Fatalf("%q: nobody knows %s", line, tool)
	}
	if err != nil {
		return 1, err.Error()
	}
	return 0, ""
}
