# All that checks, shows or installs the program. `make help` lists the targets.
include tests/sim/sim.mk
include tests/planted/planted.mk
PYTEST ?= /usr/bin/python3 -m pytest
FUZZ_S ?= 20
COUNTS := $(BUILD)/counts
.PHONY: deps deps-tests unit system ui-test test ci asan tsan torture torture-run fuzz fuzz-run coverage cov-report tidy analyze cppcheck \
        model hdr-check banned banned-run deps-check fault-check faults docs-check format-check lint bench install demo docs test-fresh load load-bins sim clean help summary test-slurm test-real

deps: ; @tests/deps.sh ## install what building needs (Debian packages; as root, else prints the command)
deps-tests: ; @tests/deps.sh --tests

# ---- tests
unit: $(TBIN) $(SIM_TBIN) $(SIM_SAME) ## unit tests (TAP, by prove)
	@tests/counted $(COUNTS) unit-$(V) prove -j2 -e '' $(TBIN) $(SIM_TBIN)
# under sanitizers those whose time is waiting are left to the release run: they reach no other code
WAITING := $(patsubst %,tests/system/test_%.py,dead_links exhaustion fault_points chaos demo backup doctor_deep) tests/chaos/test_checker.py
SYSTEM  := $(sort $(wildcard tests/system/test_*.py tests/chaos/test_*.py))
system: $(BINS) ## system tests: real processes on loopback (pytest)
	@PYTEST="$(PYTEST)" tests/system/groups.sh $(COUNTS) system-$(V) $(CURDIR)/$(O) $(if $(filter asan,$(V)),$(filter-out $(WAITING),$(SYSTEM)),$(SYSTEM))
UI_WALK ?=
ui-test: $(BINS) ## the pages in a browser: each file of tests/ui/walks (needs node, npm, chromium); UI_WALK=NAME: that one
	@tests/counted $(COUNTS) ui env PAWL_BUILD=$(CURDIR)/$(O) UI_WALK="$(UI_WALK)" $(PYTEST) -q -rs -p no:cacheprovider tests/ui/test_ui.py
test: deps-tests ## everything that a change must pass: build, unit tests, system tests
	@rm -rf $(COUNTS)
	@$(MAKE) -j2 all tests-built
	@$(MAKE) unit; u=$$?; $(MAKE) web-test; w=$$?; $(MAKE) system; s=$$?; $(MAKE) ui-test; x=$$?; tests/counted $(COUNTS) --sum; \
	  [ $$u = 0 ] && [ $$w = 0 ] && [ $$s = 0 ] && [ $$x = 0 ]
tests-built: $(TBIN) $(SIM_TBIN) $(SIM_SAME)
asan: ; @$(MAKE) -j2 V=asan all tests-built && $(MAKE) V=asan unit && $(MAKE) V=asan system ## all tests under ASan, UBSan, LSan
faults: ## every fault point in every way; N=n: so many random crashes, SEED=n (opt-in, long)
	@$(MAKE) -j2 all && PAWL_BUILD=$(CURDIR)/$(O) tests/faults/walk.py --seed $(SEED) --jobs $(JOBS) $(if $(N),--crashes $(N),--all)
N ?=
JOBS ?= 2
tsan: ; @$(MAKE) -j2 V=tsan tests-built && TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.supp:halt_on_error=1 $(MAKE) V=tsan unit ## unit tests under TSan
ci: deps-tests ## what .ci/run calls: static checks, tests, sanitizer runs
	@rm -rf $(COUNTS)
	@tests/ci.sh "$(MAKE)" "$(COUNTS)"

# every unit test again and again, the n-th allocation failing: no crash, no leak, no hang. Bound: TORTURE_S seconds a test.
# Not the tests of the simulator's disks: those are a tool of tests, which ends at once when memory runs out.
torture: ; @$(MAKE) -j2 V=asan torture-run ## unit tests, each allocation failing once, under ASan (TORTURE_S seconds a test)
TORT := $(TBIN:=_torture)
TORTURE_S ?= 20
torture-built: $(TORT)
torture-run: torture-built
	@tests/torture $(TORTURE_S) $(TORT)
fuzz: ; @$(MAKE) -j2 V=fuzz fuzz-run ## each fuzzer for FUZZ_S seconds
fuzz-run: $(FBIN)
	@for f in $(FBIN); do n=$$(basename $$f); mkdir -p $(BUILD)/corpus/$$n tests/fuzz/corpus/$$n; \
	  echo "fuzz $$n $(FUZZ_S) s"; $$f -max_total_time=$(FUZZ_S) -rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=10 -verbosity=0 -print_final_stats=1 \
	  -artifact_prefix=$(BUILD)/corpus/ $(BUILD)/corpus/$$n tests/fuzz/corpus/$$n 2>&1 | grep -E 'number_of_executed_units|ERROR|SUMMARY|Test unit' ; \
	  [ $${PIPESTATUS[0]} = 0 ] || exit 1; done
# of the programs and the unit tests together; a test that fails is shown and counts all the same
coverage: ## lines reached by unit and system tests, per folder (clang); COVERAGE_OF=FOLDER lists those never reached
	@$(MAKE) -j2 V=cov all tests-built
	@rm -rf $(BUILD)/cov/profiles; mkdir -p -m 1777 $(BUILD)/cov/profiles
	@$(MAKE) V=cov unit; u=$$?; $(MAKE) V=cov system; s=$$?; $(MAKE) V=cov cov-report && [ $$u = 0 ] && [ $$s = 0 ]
COVERAGE_OF ?=
cov-report:
	@llvm-profdata-14 merge -o $(O)/all.profdata $(PROFILES)/*.profraw
	@llvm-cov-14 export -format=lcov -instr-profile=$(O)/all.profdata $(O)/pawl-master \
	  $(foreach b,$(TBIN) $(filter-out $(O)/pawl-master,$(BINS)),-object $b) $(SRC) >$(O)/lcov
	@tests/coverage $(O)/lcov $(CURDIR) $(COVERAGE_OF)

# ---- static checks
# not before the file that defines what it wraps
failing = $(if $(filter shared/base/err.c,$(1)),,-include tests/analyze.h)
tidy: compile_commands.json ## clang-tidy with the set in .clang-tidy
	run-clang-tidy-14 -quiet -j2 $(addprefix ^$(CURDIR)/,$(SRC))
# leaks are LeakSanitizer's: gcc follows no __attribute__((cleanup)) and no ownership through a struct; null pointers are
# clang-tidy's: gcc forgets what a function that it does not follow writes through a pointer
analyze: $(patsubst %.c,$(BUILD)/analyze/%.ok,$(SRC)) ## gcc -fanalyzer
$(BUILD)/analyze/%.ok: %.c
	@mkdir -p $(@D)
	gcc $(CFLAGS_ALL) $(call failing,$<) -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-null-dereference -c -o /dev/null $< && touch $@
cppcheck: ## cppcheck
	cppcheck -q -j2 --enable=warning,portability --inline-suppr --suppressions-list=tests/cppcheck.supp $(addprefix --include=,$(firstword $(wildcard /usr/include/*-linux-*/sys/queue.h /usr/include/sys/queue.h))) --std=c11 -I. -D_GNU_SOURCE -DPW_VERSION='"x"' --error-exitcode=1 shared master worker client
hdr-check: $(HDRS:%.h=$(BUILD)/hdr/%.ok) ## every header compiles on its own
$(BUILD)/hdr/%.ok: %.h
	@mkdir -p $(@D); gcc $(CFLAGS_ALL) -x c -include $< -fsyntax-only /dev/null && touch $@
BANNED := strcpy|strcat|sprintf|vsprintf|strncpy|strncat|strtok|gets|atoi|atol|atof|system|popen|localtime|gmtime|ctime|asctime|strerror|mktemp|tmpnam|rand|usleep
banned: ; @$(MAKE) -j2 V=debug banned-run ## no banned libc function in any object
banned-run: $(call obj,$(SRC))
	@! nm -A -u $^ | grep -wE '(__)?($(BANNED))(_chk)?'
deps-check: ; @/usr/bin/python3 tests/deps_check.py ## includes against modules.mk: layers, one third-party header one folder
fault-check: ; @/usr/bin/python3 tests/fault_check.py ## fault points of the sources against docs/reliability.md
format-check: ; @clang-format-14 --dry-run -Werror $(CFILES) $(HDRS) ## layout is clang-format's
$(O)/tests/tools/protocol_doc: $(O)/tests/tools/protocol_doc.o $(foreach m,$(CLOSURE_shared/wire),$(call libof,$m))
	@echo "LD $@"; $(CC) $(SAN) -o $@ $^ $(call ld,$(CLOSURE_shared/wire))
docs: $(O)/tests/tools/protocol_doc ## docs/protocol.md from the message tables
	$< >docs/protocol.md
docs-check: $(O)/tests/tools/protocol_doc ## docs/protocol.md is what the tables say
	@$< | diff -u docs/protocol.md -
lint: deps-check fault-check planted-check docs-check hdr-check banned cppcheck ## all fast static checks
compile_commands.json: Makefile modules.mk tests/checks.mk $(SRC) $(TESTS)
	$(file >$@,[)$(foreach f,$(SRC) $(TESTS),$(file >>$@,{"directory":"$(CURDIR)"$(,)"file":"$f"$(,)"command":"clang $(filter-out -Werror -DPW_VERSION%,$(CFLAGS_ALL)) -DPW_VERSION='\"0\"' $(call failing,$f) -c $f"}$(if $(filter $f,$(lastword $(SRC) $(TESTS))),,$(,))))$(file >>$@,])

# ---- showing, measuring, installing
demo: ## install what is missing, build, run the main job on embedded defaults, show it
	@tests/deps.sh
	@$(MAKE) -j2 all
	@$(O)/pawl demo $(BUILD)/demo $(DEMO_FLAGS)
DEMO_FLAGS ?=
bench: ; @$(MAKE) -j2 all bench-bins && $(O)/tests/bench/dispatch && BUILD=$(CURDIR)/$(O) tests/bench/run.sh && BUILD=$(CURDIR)/$(O) tests/bench/log_view.py ## speed and memory, beside Buildbot in one run
bench-bins: $(O)/tests/bench/fill_db $(O)/tests/bench/dispatch
$(O)/tests/bench/dispatch: $(O)/tests/bench/dispatch.o $(foreach m,$(CLOSURE_master/core),$(call libof,$m))
	@echo "LD $@"; $(CC) $(SAN) -o $@ $^ $(call ld,$(CLOSURE_master/core))
$(O)/tests/bench/fill_db: $(O)/tests/bench/fill_db.o $(foreach m,$(CLOSURE_master/store),$(call libof,$m))
	@echo "LD $@"; $(CC) $(SAN) -o $@ $^ $(call ld,$(CLOSURE_master/store))
# a thousand workers against one master (tests/load)
$(O)/fleet: $(O)/tests/load/fleet.o $(foreach m,$(CLOSURE_pawl-worker) shared/zip,$(call libof,$m))
	@echo "LD $@"; $(CC) $(SAN) -o $@ $^ $(call ld,$(CLOSURE_pawl-worker) shared/zip)
load-bins: $(O)/fleet
load: ; @$(MAKE) -j2 all load-bins && BUILD=$(CURDIR)/$(O) tests/load/load.py $(LOAD_FLAGS) ## 1,000 workers, 200 jobs, 50 MB/s of log for 5 minutes
LOAD_FLAGS ?=
model: ; @tests/model/check.sh ## the checked models of the protocol, all claims and planted mistakes (needs spin; 3 minutes)
SEEDS ?= 1000
SEED ?= 1
sim: ; @$(MAKE) -j2 $(O)/sim && $(O)/sim --from $(SEED) --seeds $(SEEDS) --jobs 2 ## simulated histories: SEEDS of them from SEED on
test-slurm: ; @$(MAKE) -j2 all && PAWL_SLURM=1 PAWL_BUILD=$(CURDIR)/$(O) $(PYTEST) -q -p no:cacheprovider tests/system/test_provider.py -k slurm ## elastic workers with a real Slurm (root, slurm-wlm and munge; opt-in)
test-real: ; @$(MAKE) -j2 all && PAWL_BUILD=$(CURDIR)/$(O) /usr/bin/python3 tests/real/real.py $(REAL) ## real projects from Debian's and npm's sources, built and tested through Pawl (network; opt-in)
REAL ?=
test-fresh: ; @tests/fresh.sh ## the two commands on a fresh minimal Debian 12 (root; opt-in)
PREFIX ?= /usr
DESTDIR ?=
install: all ## programs, example configuration and units into DESTDIR/PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/pawl $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(BINS) $(DESTDIR)$(PREFIX)/bin/
	install -m 644 README.md CHANGELOG.md config/master.yaml.example config/worker.yaml.example $(DESTDIR)$(PREFIX)/share/doc/pawl/
	install -d $(DESTDIR)$(PREFIX)/share/doc/pawl/slurm
	install -m 755 config/slurm/start config/slurm/stop config/slurm/list config/slurm/worker $(DESTDIR)$(PREFIX)/share/doc/pawl/slurm/
	install -m 644 config/pawl-master.service config/pawl-worker.service $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -m 644 docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
clean: ; rm -rf $(BUILD) compile_commands.json
help: ## this list
	@sed -nE "s/^([a-z-]+):[^#]*## (.*)/  \1\t\2/p" Makefile tests/checks.mk tests/chaos/chaos.mk tests/planted/planted.mk | expand -t 18
include tests/chaos/chaos.mk
