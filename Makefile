# Everything a person does here. Each target does its own set-up; all that is needed beforehand is the .NET 10 SDK.
# The tests also need PostgreSQL's server, Docker's compose (no engine) and Chromium, which set-up installs where they are missing.

CONFIGURATION ?= Release
BIN := artifacts/bin
export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export DOTNET_NOLOGO := 1

.DEFAULT_GOAL := help
.PHONY: help setup build test format api demo run cluster bench chaos screenshots clean

help: ## Lists the targets.
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup:
	@command -v dotnet >/dev/null || { echo "The .NET 10 SDK is needed: https://dotnet.microsoft.com/download/dotnet/10.0" >&2; exit 1; }
	@for try in 1 2 3; do dotnet restore IommuFd.Actors.sln -v quiet && exit 0; echo "restore failed, once more" >&2; done; exit 1
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || tests/install-postgres
	@command -v chromium >/dev/null || tests/install-chromium
	@docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || tests/install-compose

build: setup ## Builds everything.
	dotnet build IommuFd.Actors.sln -c $(CONFIGURATION) --no-restore -v quiet -nologo

test: build ## Checks the format and runs every test.
	dotnet format IommuFd.Actors.sln --no-restore --verify-no-changes
	CONFIGURATION=$(CONFIGURATION) tests/run-all

format: setup ## Formats the code.
	dotnet format IommuFd.Actors.sln --no-restore

api: ## Accepts the public API of the SDK and the contracts as it is now, in tests/unit/Architecture/*.approved.txt.
	IOMMUFD_ACCEPT_API=$(CURDIR)/tests/unit/Architecture dotnet test tests/unit -c $(CONFIGURATION) --nologo --filter FullyQualifiedName~PublicApi

demo: build ## Drives a context with ioctls and prints each.
	@dotnet $(BIN)/iommufd/release/iommufd.dll demo

run: build ## Starts a silo that stays up until Ctrl-C, with its dashboard on port 8080. Its contexts are durable: their journal is in .state/.
	@mkdir -p .state
	@Journal__Path=$${Journal__Path:-.state/iommufd-journal.db} exec dotnet $(BIN)/IommuFd.Silo/release/iommufd-silo.dll

cluster: build ## Starts three silos and their database on this machine until Ctrl-C.
	@exec deploy/cluster

bench: build ## Runs the benchmarks: ratios to Orleans' own speed, in one run.
	dotnet $(BIN)/IommuFd.Bench/release/IommuFd.Bench.dll $(ARGS)

chaos: build ## Kills, pauses and stops silos under load for 5 minutes, and looks for anything lost or done twice.
	dotnet $(BIN)/IommuFd.Chaos/release/IommuFd.Chaos.dll run $(ARGS)

screenshots: build ## Makes the pictures of the dashboard in docs/images, of a silo at work.
	@mkdir -p docs/images
	IOMMUFD_SCREENSHOTS=$(CURDIR)/docs/images dotnet test tests/browser -c $(CONFIGURATION) --no-build --nologo --filter FullyQualifiedName~Screenshots

clean: ## Removes what was built.
	rm -rf artifacts
