package commands

import "github.com/freshet-io/freshet/cmd/freshet/cli"

// New returns the program with all its commands.
func New() *cli.Program {
	return &cli.Program{
		Name: "freshet",
		About: "Freshet watches AI-workflow events on Kafka and answers, for every decision and at any moment: was the context it used still true,\n" +
			"by how much not, why not, whose is it, and how sure are we?",
		Version:  versionLine(),
		Defaults: map[string]string{"instance.id": "the host name"},
		Commands: []*cli.Command{
			runCommand(), demoCommand(), loadCommand(), judgeCommand(), verdictsCommand(), checkCommand(), explainCommand(), workflowsCommand(), workflowsEraseCommand(), sourcesCommand(), slosCommand(), statusCommand(), watchCommand(),
			topicsPlanCommand(), topicsApplyCommand(), topicsVerifyCommand(), topicsACLsCommand(), contractsCheckCommand(), contractsAcceptCommand(),
			importOpenSLOCommand(), rulesCommand(), dashboardsCommand(), sloBacktestCommand(),
			deadLettersListCommand(), deadLettersRedriveCommand(),
			alertsCommand(), alertsTestCommand(), alertsWhyCommand(),
			benchIngestCommand(), benchLatencyCommand(), benchFanoutCommand(), benchCheckCommand(), benchDeadlinesCommand(), benchRestoreCommand(), benchMovesCommand(), benchOutageCommand(), benchPageCommand(), benchMemoryCommand(), versionCommand(),
		},
	}
}
