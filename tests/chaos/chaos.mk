# Random kills and broken links under load, then a checker (tests/chaos/README.md). SECONDS=n or KILLS=n; SEED repeats a plan.
SEED ?= 1
SECONDS ?= 60
KILLS ?=
.PHONY: chaos chaos-run
chaos: ; @$(MAKE) -j2 V=$(if $(filter file,$(origin V)),debug,$(V)) chaos-run ## random kills under load (SEED, SECONDS or KILLS, V)
chaos-run: $(BINS)
	@/usr/bin/python3 tests/chaos/chaos.py --build $(CURDIR)/$(O) --seed $(SEED) $(if $(KILLS),--kills $(KILLS),--seconds $(SECONDS)) $(CHAOS_FLAGS)
CHAOS_FLAGS ?=
