# Everything here needs Go and GNU make only. GOTOOLCHAIN and GOFLAGS are respected if they are set.

GO      ?= go
BIN     := bin/freshet

# What runs several goroutines over the same memory: these packages are tested under the race detector, too.
RACE := ./processors/... ./state/... ./embedded/... ./internal/metrics/... ./query/... ./cmd/freshet/...

# Each fuzz target as package:name; go runs one at a time.
FUZZ      := ./checkid:FuzzDecode ./event:FuzzDecode ./event:FuzzParseTime ./slo:FuzzParse ./slo/budget:FuzzParse ./slo/openslo:FuzzImport ./state:FuzzDecode ./cmd/freshet/retime:FuzzThereAndBack
FUZZ_TIME ?= 20s

# A real Kafka of this machine needs Java 17 or later, and Maven the first time. FRESHET_KAFKA=require makes it an error that they are missing.
KAFKA     := $(GO) run ./test/kafka/run
KAFKA_N   ?= 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show what there is to make.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Build and show it at work: broker, engine, recorded sessions moved to now.
	./$(BIN) demo

.PHONY: build
build: ## Build bin/freshet.
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/freshet

.PHONY: test
test: ## Run all tests (about five minutes, more when everything has to be compiled).
	$(GO) test -timeout 15m ./...

.PHONY: exact
exact: ## Run the golden sets through the engine in every combination (up to an hour).
	$(GO) test ./test/exact -count=1 -exact.full -timeout 60m

.PHONY: answers
answers: ## Ask a running engine for every use of the golden sets, by check and by explain (a minute).
	GOGC=400 $(GO) test ./test/answers -count=1 -v -timeout 30m -run '^TestAnswersAreTheGoldenLines$$' -answers.golden

.PHONY: kafka-start
kafka-start: ## Start a real Kafka on 127.0.0.1:9092 (KAFKA_N=3: three brokers), data under build/.
	@$(KAFKA) start -brokers $(KAFKA_N)

.PHONY: kafka-stop
kafka-stop: ## Stop it; its data stay.
	@$(KAFKA) stop

.PHONY: test-kafka
test-kafka: export FRESHET_KAFKA ?= try
test-kafka: ## Run on a real Kafka what is otherwise tested on the embedded broker.
	$(KAFKA) with -- $(GO) test ./processors/tail ./processors/clock -count=1 -timeout 10m -run '/kafka|Kafka'
	$(GO) test ./test/kafka -count=1 -v -timeout 20m
	$(KAFKA) with -- sh -c '$(GO) test ./test/exact -count=1 -timeout 30m -exact.brokers "$$FRESHET_TEST_BROKERS"'
	@$(KAFKA) check

.PHONY: test-observe
test-observe: export FRESHET_PROMETHEUS ?= try
test-observe: ## Check the rules with promtool, and ask every panel of a real Prometheus that scrapes an engine at work (two minutes).
	$(GO) test ./alerts/rules ./internal/lint -count=1 -run 'Prometheus|Sloth|Deployed|Example'
	$(GO) test ./test/observe -count=1 -v -timeout 15m

.PHONY: test-alerting
test-alerting: export FRESHET_ALERTMANAGER ?= try
test-alerting: export FRESHET_KAFKA ?= try
test-alerting: build ## Break a fleet in known ways, and see who is paged: Kafka, Prometheus, two Alertmanagers (six minutes).
	FRESHET_BIN=$(CURDIR)/$(BIN) $(GO) test ./test/paging -count=1 -v -timeout 20m -parallel 3

# The Python client's own environment, with the frameworks that it has hooks for.
PYTHON := build/python

.PHONY: test-python
test-python: export FRESHET_PYTHON ?= try
test-python: build ## Test the Python client against this engine (needs Python 3.10 or later, and PyPI).
	@if ! python3 -m venv $(PYTHON) >/dev/null 2>&1; then \
		echo "NOT TESTED: the Python client; python3 with venv is missing" >&2; [ "$$FRESHET_PYTHON" != require ]; exit; \
	fi; set -e; \
	$(PYTHON)/bin/pip install --quiet --disable-pip-version-check --retries 10 -e 'clients/python[kafka,test,langgraph,openai-agents]'; \
	cd clients/python; ../../$(PYTHON)/bin/mypy; FRESHET_BIN=$(CURDIR)/$(BIN) ../../$(PYTHON)/bin/pytest -q

# The environment of those who read the API's description.
API_PYTHON := build/api

.PHONY: test-api
test-api: export FRESHET_PYTHON ?= try
test-api: build ## Fuzz the HTTP API by its OpenAPI document, call its tools with a client of MCP, and look at its page in Chromium if that is there (needs Python 3.10 or later, and PyPI; some minutes).
	@mkdir -p build; if ! { python3 -m venv $(API_PYTHON) && $(API_PYTHON)/bin/pip install --quiet --disable-pip-version-check --retries 10 -r test/api/requirements.txt; } >build/api.log 2>&1; then \
		echo "NOT TESTED: the HTTP API by schemathesis and a client of MCP; they could not be had (build/api.log)" >&2; [ "$$FRESHET_PYTHON" != require ]; exit; \
	fi; FRESHET_BIN=$(CURDIR)/$(BIN) $(API_PYTHON)/bin/python test/api/live.py $(SEED)

.PHONY: test-api-short
test-api-short: export FRESHET_FUZZ := short
test-api-short: SEED := 1
test-api-short: test-api ## A part of it, in a minute: 25 examples of a fixed seed, and the tools; no boundaries, no browser.

.PHONY: torture
torture: export FRESHET_KAFKA ?= try
torture: ## Kill, freeze, move and cut off the engine on both kinds of broker (about two hours).
	$(GO) test ./test/torture -count=1 -v -timeout 6h -torture=full
	@$(KAFKA) check

.PHONY: torture-short
torture-short: export FRESHET_KAFKA ?= try
torture-short: ## Five to ten minutes of it.
	$(GO) test ./test/torture -count=1 -timeout 15m -torture=short
	@$(KAFKA) check

# How much event time a soak has. Less than twelve hours are too few to say that nothing grows.
SOAK ?= 25h

.PHONY: soak
soak: export FRESHET_KAFKA ?= try
soak: ## Run a day of event time, 60 times as fast, on a real Kafka, with a figure for each hour (25 minutes).
	$(GO) test ./test/torture -count=1 -v -timeout 3h -run '^TestSoak$$' -soak=$(SOAK)
	@$(KAFKA) check

# How long test-honesty looks at answers, on each kind of broker.
HONESTY ?= 10m

.PHONY: test-honesty
test-honesty: export FRESHET_KAFKA ?= try
test-honesty: ## Compare all that is answered under kills and moves with what was so, for HONESTY each; and see that it can fail.
	$(GO) test ./test/answers -count=1 -v -timeout 15m -run '^TestNoAnswerIsWrong$$' -answers.span 2m
	$(GO) test ./test/torture -count=1 -v -timeout 3h -torture=full -torture.honesty=$(HONESTY) \
		-run '^(TestHonestAnswers|TestDishonestAnswersAreFound|TestOwnerKilledUnderChecks)$$'
	@$(KAFKA) check

.PHONY: check
check: fmt vet staticcheck lint generated race ## Run what CI runs after the tests.

.PHONY: fmt
fmt: ## Check the formatting.
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi

.PHONY: vet
vet: ## Run go vet.
	$(GO) vet ./...

.PHONY: staticcheck
staticcheck: ## Run staticcheck.
	$(GO) tool staticcheck ./...

.PHONY: lint
lint: ## Check the house rules: imports, banned calls, documents in step.
	$(GO) test -count=1 ./internal/lint

.PHONY: generated
generated: ## Check that generated documents are what the code says.
	$(GO) test -count=1 ./internal/metrics -run 'Reference'
	$(GO) test -count=1 ./cmd/freshet/commands -run 'Reference'
	$(GO) test -count=1 ./slo -run 'Current'
	$(GO) test -count=1 ./cmd/freshet/backtest -run 'Picture'
	$(GO) test -count=1 ./topology -run 'TestDocs'
	$(GO) test -count=1 ./dashboards -run 'Current'

.PHONY: race
race: ## Run the concurrent packages under the race detector (needs a C compiler).
	CGO_ENABLED=1 $(GO) test -race -short -timeout 30m $(RACE)

.PHONY: generate
generate: ## Write generated documents anew.
	$(GO) test -count=1 ./internal/metrics -run 'Reference' -rewrite
	$(GO) test -count=1 ./cmd/freshet/commands -run 'Reference' -rewrite
	$(GO) test -count=1 ./slo -run 'Current' -rewrite
	$(GO) test -count=1 ./cmd/freshet/backtest -run 'Picture' -rewrite
	$(GO) test -count=1 ./topology -run 'TestDocs' -update
	$(GO) test -count=1 ./dashboards -run 'Current' -rewrite
	$(GO) test -count=1 ./internal/lint -run 'Rules' -rewrite

.PHONY: bench
bench: ## Run the benchmarks of the hot paths.
	$(GO) test -run '^$$' -bench . -benchmem ./event ./freshness ./state ./topology

.PHONY: fuzz
fuzz: ## Fuzz everything that parses, for FUZZ_TIME each.
	@set -e; for target in $(FUZZ); do \
		echo "$${target#*:} in $${target%%:*}"; \
		$(GO) test "$${target%%:*}" -run '^$$' -fuzz "^$${target#*:}$$" -fuzztime $(FUZZ_TIME); \
	done

.PHONY: clean
clean: ## Remove what was built.
	rm -rf bin build
