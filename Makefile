# One line for each thing one does here; `make help` prints this list.
FUZZTIME ?= 60s

.PHONY: help build test race vet lint tidy fuzz crash soak faults gearmand chaos million bench fresh ci
help: ; @grep -E '^[a-z]+:.* [#]# ' Makefile | sed 's/:.* [#]# /\t/'
build: ; go build -o geartrain ./cmd/geartrain ## the binary, in this folder
test: ; go test ./... ## what the README says
race: ; go test -race ./... ## the same under the race detector
vet: ; go vet ./... ## the compiler's own checks
lint: ; go tool staticcheck ./... ## staticcheck; what is left out is in staticcheck.conf, with reasons
tidy: ; go mod tidy -diff ## go.mod and go.sum are as they should be
fuzz: ; .ci/fuzz $(FUZZTIME) ## every fuzz target for FUZZTIME
crash: ; GEARTRAIN_CRASHES=20 go test -count=1 -timeout 10m -run 'Killed|FullDisk' ./cmd/geartrain ## the server killed 20 times under load, and its disk full
soak: ; GEARTRAIN_POWER_SEEDS=1000 go test -count=1 -timeout 1h -run PowerLoss ./server && GEARTRAIN_CRASHES=1000 go test -count=1 -timeout 3h -v -run 'Killed|FullDisk' ./cmd/geartrain ## the same 1000 times, and 1000 worlds of power losses
chaos: ; GEARTRAIN_CHAOS=50 go test -count=1 -timeout 10m -run TestChaos ./cmd/geartrain ## runner, server and workers killed in any order, over 50 seeds
million: ; GEARTRAIN_MILLION=1000000 go test -count=1 -timeout 20m -v -run TestMillion ./cmd/geartrain ## a run of a million items, its memory and what the journal costs
faults: ; GEARTRAIN_FAULTS=yes go test -count=1 -timeout 5m ./server/faults ## the server as a process, under garbage, floods and deaths
gearmand: ; .ci/gearmand-tests $${TMPDIR:-/tmp}/geartrain-gearmand ## gearmand's own tests with this server in its place, all of them
bench: ; go test -run '^$$' -bench . ./... ## the Go benchmarks
fresh: ; .ci/fresh ## the README's two commands in a fresh clone
ci: ; .ci/run ## all of it
