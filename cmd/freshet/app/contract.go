package app

import (
	"fmt"
	"os"

	"github.com/freshet-io/freshet/slo"
	"github.com/freshet-io/freshet/topology"
)

// readContract reads the contract file and makes the graph of it.
func (a *App) readContract() error {
	text, err := os.ReadFile(a.cfg.ContractsFile)
	if err != nil {
		return fmt.Errorf("-contracts.file: %w", err)
	}
	file, err := slo.Parse(text, a.cfg.ContractsFile, os.LookupEnv)
	if err != nil {
		return err
	}
	a.text, a.file = text, file
	if a.graph, err = topology.FromContract(a.cfg.Topics, file); err != nil {
		return fmt.Errorf("graph of %s: %w", a.cfg.ContractsFile, err)
	}
	return nil
}
