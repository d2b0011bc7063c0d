# Slipway's commands. Everything is built into bin/, and fetched tools go to .slipway/; both may be deleted at any time.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
GO ?= go
LINT_VERSION := v2.15.0
FUZZTIME ?= 30s

# The same for every go command here, the linter's included, so that all share what one has compiled. Binaries hold
# neither paths nor commits: what is built of the same code is the same, and isn't deployed again. What a debugger reads
# is never linked in: not making it saves an eighth of the compiler's time.
export CGO_ENABLED := 0
export GOFLAGS := $(sort $(shell $(GO) env GOFLAGS) -trimpath -buildvcs=false -gcflags=all=-dwarf=false)

# A compiler that collects less garbage takes a sixth less time, and up to a gigabyte of memory for one of the SDK's clients.
BUILD := GOGC=400 $(GO) build
LEAN := -ldflags "-s -w"
LAMBDA := -tags lambda.norpc -ldflags "-s -w"
FUNCTIONS := bin/functions
AUDIT := $(CURDIR)/.slipway/audit
ARM64 := --context arch=arm64 --context functionsDir=bin/arm64

.DEFAULT_GOAL := help
.PHONY: help check test demo up down template cloud bench bench-flags oracle engines moved hashes licenses sbom vulns checkov audit test-api test-packages test-modules wire test-localstack test-endpoint cloud-tests emulator test-sam sam-validate fuzz synth preflight deploy functions diagram clean tools builds rest shop rehearsal lint bin/synth bin/slipway bin/local

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: cloud ## five commits of a real app through the whole pipeline, on this machine, in a minute
	@bin/local demo

up: cloud ## start the local cloud with Slipway in it, and leave it running; TARGETS=a,b names your own functions that it may deploy
	@bin/local up $(TARGETS)

down: bin/local ## stop the local cloud
	@bin/local down

check: ## what CI runs: golangci-lint, then the tests
	@$(MAKE) lint
	@$(MAKE) test

test: builds ## all tests, on a local cloud of their own
	@$(MAKE) -j 2 test-packages test-modules
	$(GO) -C bench/openfeature test ./...

test-packages:
	$(GO) test -timeout 15m -parallel 6 ./internal/pipeline ./... # the longest first

test-modules: # those that need no cloud
	$(GO) -C examples/shop test ./...
	$(GO) -C bench/flagd test ./...
	$(GO) -C tools test ./...
	$(GO) -C bench/flags/oracle test . -rapid.seed=1 -rapid.checks=2000

test-api: builds ## the running API against its OpenAPI document, by schemathesis (a part of make test)
	$(GO) test -count=1 -v ./internal/api/contract

# The tests that need a cloud; what an engine can't judge is left out by name (internal/local/localtest).
CLOUD_TESTS := ./internal/store ./internal/logs ./internal/secret ./internal/source
PIPELINE_TESTS := .
TOLD := awk '$$1 == "exit" { failed = failed || $$2; next } /^(ok|FAIL|panic:|the local cloud:|\#)|^ *--- FAIL|left out on|\.go:[0-9]+:/ { print; fflush() } END { exit failed }'

# These make the functions use nearly all of their operations; each run of the pipeline's tests is checked the same way.
WIRE_TESTS := ^(TestRolesOfScripts|TestLambdaTarget|TestTargetIsGone|TestStatusesAreTold|TestCodeBuild|TestCodeBuildSecrets|TestReleaseFlags|TestKilledForApplications|TestHooks|TestEventDoors|TestWebhookDoor|TestPipelineJob|TestFetched|TestEndedRule|TestConsole|TestCLI)$$

wire: builds ## what the functions send, against AWS's own service models as botocore has them (a part of make test)
	@$(GO) test -count=1 -v -parallel 6 -run '$(WIRE_TESTS)' ./internal/pipeline > .slipway/wire.log 2>&1; result=$$?; \
		grep -E '^(ok|FAIL|the local cloud:)|requests of|^ *--- FAIL|^slipway-' .slipway/wire.log; exit $$result

test-localstack: builds ## the cloud's tests on LocalStack, the stricter judge (Python 3.12, Java 17, Maven; half a gigabyte, once)
	@bin/local localstack
	@SLIPWAY_TEST_ENGINE=localstack $(MAKE) cloud-tests

test-endpoint: builds ## the cloud's tests against what runs at AWS_ENDPOINT_URL, as after: . .slipway/local.env
	@SLIPWAY_TEST_ENGINE=endpoint $(MAKE) cloud-tests

cloud-tests:
	@{ $(GO) test -count=1 -timeout 60m -parallel 6 -v -run '$(PIPELINE_TESTS)' ./internal/pipeline; echo "exit $$?"; \
		$(GO) test -count=1 -p 1 -timeout 10m -v $(CLOUD_TESTS); echo "exit $$?"; \
		$(GO) -C bench/openfeature test -count=1 -v ./...; echo "exit $$?"; } 2>&1 | $(TOLD)

test-sam: builds synth ## SAM's commands against a local cloud (fetches the SAM CLI once, a third of a gigabyte)
	$(GO) test -count=1 -v -tags sam -run '^TestSAM$$' ./internal/local

sam-validate: bin/local synth ## the template by SAM's own check and cfn-lint
	@SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 $$(bin/local sam) validate

fuzz: ## each fuzz target for FUZZTIME (30s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do \
		for name in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -c6-); do \
			echo "$$dir $$name"; $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 50x $$dir || exit 1; \
		done; \
	done

bench: builds ## measure: cold starts and sizes, a deployment's cost, history pages (bench/results)
	@$(MAKE) -C bench

bench-flags: ## the flag engines side by side (bench/results/flags.md)
	@mkdir -p bench/results
	$(GO) -C bench/flags test -run 'TestSame|TestTable' -v -table $(CURDIR)/bench/results/flags.md .
	$(GO) -C bench/flags test -run '^$$' -bench 'Parallel|Compile' -cpu 1,2 .

oracle: ## random flags and contexts against flagd itself, others each time; what differs is printed as small as it gets
	$(GO) -C bench/flags/oracle test . -rapid.checks=20000

engines: ## what the in-process flag engines of other languages make of Slipway's export (docs/ofrep.md; Java and Rust where they are installed)
	$(GO) -C bench/engines test -count=1 -v .

moved: ## which of the pinned flag clients and engines have a newer version
	@bench/engines/moved.sh

licenses: audit ## what is linked into each binary, under which license (docs/licenses.md); fails for one that isn't allowed
	@GO_LICENSES=$(AUDIT)/go-licenses $(AUDIT)/licenses

sbom: audit functions shop bin/slipway bin/local ## a CycloneDX bill of materials beside each binary (FUNCTIONS=bin/arm64 after make preflight)
	@CYCLONEDX_GOMOD=$(AUDIT)/cyclonedx-gomod CYCLONEDX_SCHEMA=$$($(GO) -C tools list -m -f '{{.Dir}}' github.com/CycloneDX/cyclonedx-go)/schema \
		$(AUDIT)/sbom $(FUNCTIONS)/*/bootstrap bin/slipway bin/local

vulns: audit ## known vulnerabilities of what is linked (govulncheck); says so and fails where the database can't be reached
	@tools/vulns.sh $(AUDIT)/govulncheck ./functions/... ./cmd/...

# Settings that add to the templates all that any setting adds.
EVERY = -c removal=destroy -c arch=x86_64 -c runner=function -c apiGatewayRole=keep -c flagsConcurrency=0 \
	-c targets=one,two -c hookFunctions=caller -c repositories=shop -c topics=told -c pipelineRepository=shop \
	-c assetsBucket=builds -c alarmTopic=arn:aws:sns:eu-west-1:123456789012:ops

checkov: audit bin/local bin/synth functions shop ## the templates by checkov, against the answers in docs/security.md
	@rm -rf .slipway/judged
	@bin/synth -o .slipway/judged/default
	@bin/synth -o .slipway/judged/every $(EVERY)
	@checkov=$$(bin/local checkov) && CHECKOV="$$checkov" $(AUDIT)/checkov .slipway/judged

# Their own module, so that their dependencies never become ours; go.sum there has their hashes.
audit:
	@$(GO) -C tools build -o $(AUDIT)/ ./checkov ./licenses ./sbom tool

hashes: bin/local ## write the hashes of what pip and Maven fetch, after a version in a requirement file or pom.xml was changed (needs Maven)
	@uv=$$(bin/local uv) && internal/local/hashes.sh "$$uv"

functions: ## the Lambda functions, for this machine (for AWS: make deploy)
	@$(BUILD) $(LAMBDA) -o bin/.build/$(FUNCTIONS)/ ./functions/... ./cmd/runner
	@for built in bin/.build/$(FUNCTIONS)/*; do \
		to=$(FUNCTIONS)/$${built##*/}; mkdir -p $$to; cmp -s $$built $$to/bootstrap || cp $$built $$to/bootstrap; \
	done

shop:
	@mkdir -p $(FUNCTIONS)/shop
	@GOGC=400 $(GO) -C examples/shop build -tags lambda.norpc -ldflags "-s -w -X main.version=none" -o $(CURDIR)/$(FUNCTIONS)/shop/bootstrap .

synth: bin/synth functions shop ## the CloudFormation templates, into cdk.out
	@bin/synth -o cdk.out

# What make deploy deploys: the functions for arm64, and the targets that it names.
SYNTH_ARGS = -c arch=arm64 -c functionsDir=bin/arm64 $(if $(TARGETS),-c targets=$(TARGETS))

preflight: ## check credentials, region, targets and limits for make deploy (TARGETS=a,b as there); nothing is changed
	@$(MAKE) bin/synth
	@GOOS=linux GOARCH=arm64 $(MAKE) FUNCTIONS=bin/arm64 functions shop
	@bin/synth -o cdk.out $(SYNTH_ARGS)
	@$(GO) run ./cmd/preflight $(TARGETS)

deploy: ## Slipway into your AWS account and region (arm64); TARGETS=a,b names the functions that it may deploy; DRY_RUN=1 only checks
	@$(MAKE) preflight
ifdef DRY_RUN
	@echo "DRY_RUN is set: nothing was deployed."
else
	@$(MAKE) tools
	.slipway/node/node_modules/.bin/cdk bootstrap $(ARM64) $(if $(TARGETS),--context targets=$(TARGETS))
	.slipway/node/node_modules/.bin/cdk deploy Slipway $(ARM64) $(if $(TARGETS),--context targets=$(TARGETS))
endif

# The demo's deployments test and build the shop without a network: what they compile again and again is compiled here first.
rehearsal:
	@$(MAKE) -s -C examples/shop test build > /dev/null

diagram: ## the pipeline's picture in docs/, drawn from statemachine.asl.json
	@$(GO) run ./internal/asl/cmd/diagram README.md docs/pipeline.md

clean: down ## stop the local cloud, delete what was built and fetched
	@rm -rf bin cdk.out .slipway examples/shop/build

# The templates that the local cloud deploys are checked in, so that it needs neither the CDK, whose packages take a minute to compile,
# nor Node.js. Where files of infra were changed, they are made anew first.
CHANGED := $(if $(shell git status --porcelain -- infra cdk.json 2>/dev/null | grep -v infra/local),.slipway/template)

template: ## infra/local, the templates that the local cloud deploys, after a change in infra
	@mkdir -p .slipway
	@$(GO) test -count=1 ./infra -run '^TestLocalTemplates$$' -update >.slipway/template.log 2>&1 || { cat .slipway/template.log; exit 1; }

.slipway/template: $(wildcard infra/*.go) cdk.json
	@echo "Making infra/local anew, as infra was changed."
	@$(MAKE) template && touch $@

# What the local cloud and its demo need. The emulator is fetched beside the compiler.
cloud:
	@echo "Building (the first time takes some minutes)."
	@$(MAKE) -j2 emulator rest

# What the tests need too. The CDK's packages are compiled beside the rest, which is made one after the other, because two go commands
# at once compile what they share twice. bin/local comes first, and fetches the tools beside both.
builds:
	@echo "Building (the first time takes some minutes)."
	@$(MAKE) -j3 bin/synth tools rest

rest: bin/local $(CHANGED)
	@$(MAKE) functions
	@$(MAKE) bin/slipway
	@$(MAKE) shop
	@$(MAKE) rehearsal

tools: bin/local
	@bin/local tools

emulator: bin/local
	@bin/local emulator

bin/synth:
	@$(BUILD) $(LEAN) -o bin/synth ./infra/cmd/synth

bin/slipway:
	@$(BUILD) -ldflags "-s -w -X main.version=$$(git describe --tags --always --dirty 2>/dev/null || echo devel)" -o bin/slipway ./cmd/slipway

bin/local:
	@$(BUILD) $(LEAN) -o bin/local ./cmd/local

lint: .slipway/bin/golangci-lint-$(LINT_VERSION)
	@.slipway/bin/golangci-lint-$(LINT_VERSION) run

# Built outside the module, so that its dependencies never become ours.
.slipway/bin/golangci-lint-$(LINT_VERSION):
	@echo "Fetching golangci-lint $(LINT_VERSION) (once, two minutes)."
	@GOBIN=$(CURDIR)/.slipway/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv .slipway/bin/golangci-lint $@
