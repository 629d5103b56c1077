package slo

import (
	"os"
	"path/filepath"
	"testing"
)

// TestGoldenContractsParse reads the contracts of the golden sets, which are judged by elsewhere.
func TestGoldenContractsParse(t *testing.T) {
	files, err := filepath.Glob("../testdata/golden/*.contracts.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no contracts in testdata/golden: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(data, file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if f.DecisionRetention() != 87600*hour || len(f.Contract().Classes) == 0 {
			t.Errorf("%s: retention %s, %d workflows", file, FormatDuration(f.DecisionRetention()), len(f.Contract().Classes))
		}
	}
}
