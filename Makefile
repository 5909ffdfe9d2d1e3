# Every check that the project has. `make test` is the fast suite, `make check`
# what a change must pass, `make check-all` adds what needs Python, and is what
# CI runs.

STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME   ?= 10s

.PHONY: torture amx build test check check-all format vet cross tidy generated unfused harness race fuzz python onnx tensorboard report serve readme vulnerabilities licences sbom supply reproducible shell stranger bench bench-peers build-cuda test-cuda check-cuda test-softdriver sanitized check-gpu-proof gpu-bundle container scores samples tables

# VERSION names the build where there is no repository to take it from.
VERSION ?=
LDFLAGS  = $(if $(VERSION),-ldflags "-X main.release=$(VERSION)")
build:
	CGO_ENABLED=0 go build -trimpath $(LDFLAGS) -o bin/gpudae ./cmd/gpudae

test:
	go test ./...

check: format vet cross tidy test

check-all: check check-cuda container generated amx unfused race harness torture fuzz python onnx tensorboard report serve readme vulnerabilities supply reproducible shell scores samples tables

format:
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }

vet:
	go vet ./...
	$(STATICCHECK) ./...

# The plain build is pure Go, and not for one machine only.
cross:
	CGO_ENABLED=0 GOARCH=amd64 go vet ./...
	CGO_ENABLED=0 GOARCH=arm64 go vet ./...
	CGO_ENABLED=0 GOARCH=arm64 go build -o /dev/null ./cmd/gpudae

tidy:
	go mod tidy -diff
	go mod verify

# The committed assembly, and the code of ONNX's messages, are what their generators write.
generated:
	cd cpu/internal/asmgen && go test -count=1 ./...
	cd onnx/internal/pbgen && go test -count=1 ./...

# Products in the tiles of AMX, emulated where the processor has none.
amx:
	scripts/check/amx

# Where the compiler may fuse a multiplication and an addition, random draws
# keep their bits all the same.
unfused:
	GOAMD64=v3 go test -vet=off ./device/philox ./device/reference

race:
	CGO_ENABLED=1 go test -race -vet=off -short -timeout 30m ./cpu ./train ./data ./serve ./internal/...

fuzz:
	scripts/check/fuzz $(FUZZTIME)

# Runs killed at random moments, on file systems that fill, and with damaged files.
torture:
	scripts/check/torture

python:
	scripts/check/python

# Exported models in onnxruntime, NumPy and safetensors.
onnx:
	scripts/check/onnx/run

# The page about a run in headless Chromium, where there is one.
report:
	scripts/check/report/run

# Event files in TensorBoard's reader and tbparse.
tensorboard:
	scripts/check/tensorboard/run

# A server under load and in a flood, and its OpenAPI description against what it does.
serve:
	scripts/check/serve/run

readme:
	scripts/check/readme

# Needs the vulnerability database; says so and goes on where it cannot be reached.
vulnerabilities:
	scripts/check/vulnerabilities "$(GOVULNCHECK)"

# The list of what is built into the program, with licences; their texts and a bill
# of materials, for those who pass the program on.
licences:
	cd scripts/supply && go run . -list ../../docs/licences.md
sbom:
	cd scripts/supply && go run . -version "$(VERSION)" -texts ../../bin/THIRD_PARTY_LICENSES.txt -sbom ../../bin/gpudae.cdx.json

# The list is current, and the bill valid for CycloneDX's own library.
supply:
	scripts/check/sbom

# Two builds of one commit, in two places, have the same bits.
reproducible:
	scripts/check/reproducible

# Completion typed into shells, and the manual page through man and mandoc.
shell:
	scripts/check/shell/run

# README.md from top to bottom in a minimal Debian with Go; says so where the machine does not let it.
stranger:
	scripts/check/stranger

# The programs that measure the peers still run and agree with our workloads.
harness:
	bench/peers/run --smoke

bench: build
	bin/gpudae bench

# Beside PyTorch, JAX and NumPy; see bench/README.md. Takes a quiet machine.
bench-peers:
	bench/peers/run

# The program for machines with an NVIDIA GPU, and for those without.
build-cuda:
	scripts/cuda-build
	scripts/cuda-env go build -tags cuda -trimpath -o bin/gpudae ./cmd/gpudae

# The GPU path on a machine without a GPU: the kernels compiled for every
# architecture, and the device and the command line on the software driver.
SOFTDRIVER = $(CURDIR)/.cache/softdriver
CUDA_TESTS = ./cuda/... ./gpu ./kernels
test-cuda:
	scripts/cuda-build
	cuda/softdriver/build
	scripts/cuda-env go vet -tags cuda $(CUDA_TESTS) ./cmd/gpudae
	scripts/cuda-env $(STATICCHECK) -tags cuda $(CUDA_TESTS) ./cmd/gpudae
	LD_LIBRARY_PATH=$(SOFTDRIVER)/plain scripts/cuda-env go test -tags cuda -vet=off -timeout 30m $(CUDA_TESTS)
	LD_LIBRARY_PATH=$(SOFTDRIVER)/plain scripts/cuda-env go test -tags cuda -vet=off -timeout 30m -run CUDA ./cmd/gpudae

# Dockerfile.cuda built and run for real, in a chroot; says so where the machine does not let it (root, buildah, debootstrap).
container:
	scripts/check/container

# All that scripts/gpu-proof needs on a machine with a GPU and without Go.
gpu-bundle:
	scripts/gpu-bundle gpu-bundle

# The same under the sanitizers and the access checker, the software driver's own
# tests, and the script that gathers evidence on a GPU.
check-cuda: test-cuda test-softdriver sanitized check-gpu-proof

test-softdriver:
	for variant in plain asan check; do cuda/softdriver/build $$variant || exit 1; done
	$(MAKE) -C cuda/softdriver test

check-gpu-proof:
	scripts/check/gpu-proof

# The checker runs on one thread and takes the longest: its tests are two parts, side by side. What is left out are
# long runs of what others run too.
SANITIZED_OPERATIONS = Conformance|Tensor|SharedSumsOf|StepIsEnded|UpdatesOf|StepOfCublasLt|CopiesAreCurrent
SANITIZED_NETS = SmallNetIs|SmallNetFollows|SmallNetKeeps|ScoreNetOf|ScoreNetFollows|ScoreNetHasTheNoise
SANITIZED_BUT = CopiesAreCurrent/(averages|spikes)
sanitized:
	scripts/cuda-build
	cuda/softdriver/build asan
	cuda/softdriver/build check
	scripts/cuda-env go test -vet=off -tags cuda -c -o .cache/cuda/gpu.test ./gpu
	cd gpu && { \
		LD_LIBRARY_PATH=$(SOFTDRIVER)/check ../.cache/cuda/gpu.test -test.run "$(SANITIZED_NETS)" & nets=$$!; \
		LD_LIBRARY_PATH=$(SOFTDRIVER)/check ../.cache/cuda/gpu.test -test.run "$(SANITIZED_OPERATIONS)" -test.skip "$(SANITIZED_BUT)" & operations=$$!; \
		LD_PRELOAD=$$(g++ -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 LD_LIBRARY_PATH=$(SOFTDRIVER)/asan \
			../.cache/cuda/gpu.test -test.run "$(SANITIZED_OPERATIONS)|$(SANITIZED_NETS)" -test.skip "$(SANITIZED_BUT)" & asan=$$!; \
		wait $$nets && wait $$operations && wait $$asan; }

# The score of a mixture in 16 dimensions, which takes some minutes to learn.
scores:
	go vet -tags slow ./train
	go test -tags slow -count=1 -run Sixteen -v ./train

# Samples of score models of the toy sets, beside fresh data and Parzen windows.
samples:
	scripts/check/samples

# Logistic regression on codes beside raw columns, on tables of scikit-learn; and stacks on
# variants of MNIST, in the smallest mode.
.PHONY: features vincent2010
check-all: features vincent2010

features:
	scripts/check/features/run

vincent2010:
	scripts/check/vincent2010

# A CSV file of millions of rows in the memory of its records; the commands for tables in that of the store.
tables:
	go vet -tags slow ./table
	go test -tags slow -count=1 -run MemoryOf -v ./table
	scripts/check/millions 500000
