# One non-recursive Makefile. `make help` lists the targets. Variants: V=release|debug|asan|tsan|cov|fuzz
V ?= release
MAKEFLAGS += -rR --warn-undefined-variables --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
SHELL := /bin/bash

include modules.mk
BUILD ?= build
O     := $(BUILD)/$(V)
CC    := $(if $(filter cov fuzz,$(V)),clang,gcc)
VERSION := 0.1.0
WARN  := -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
         -Wwrite-strings -Wformat=2 -Wvla -Wundef -Wpointer-arith -Wcast-align -Wimplicit-fallthrough -Werror
ifeq ($(CC),gcc)
WARN  += -Wno-format-truncation # texts for people are cut to the room that there is, on purpose
endif
SAN_asan := -fsanitize=address,undefined -fno-sanitize-recover=all
SAN_tsan := -fsanitize=thread
# One mapped file of counters for all processes of a binary, named in it: those that are killed, that end by _exit() or that
# got an empty environment count too.
PROFILES := $(CURDIR)/$(O)/profiles
SAN_cov  := -fprofile-instr-generate=$(PROFILES)/%c%m.profraw -fcoverage-mapping
SAN_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
SAN_release :=
SAN_debug :=
OPT_release := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
OPT_debug := -O1 -fno-omit-frame-pointer
$(foreach v,asan tsan cov fuzz,$(eval OPT_$v := $(OPT_debug)))
OPT_cov += -mllvm -runtime-counter-relocation
OPT   := $(OPT_$(V))
SAN   := $(SAN_$(V))
, := ,
uniq   = $(if $(1),$(firstword $(1)) $(call uniq,$(filter-out $(firstword $(1)),$(1))))
$(foreach m,$(MODULES),$(if $(filter undefined,$(origin LIB_$m)),$(eval LIB_$m :=)))
# a folder and everything below it, in link order (who uses stands before who is used)
closure = $(foreach m,$(MODULES_DOWN),$(if $(filter $m,$(call reach,$(1))),$m))
reach   = $(1) $(foreach u,$(USES_$(1)),$(call reach,$u))
MODULES_DOWN := $(shell printf '%s\n' $(MODULES) | tac)
PKGS  := $(sort $(foreach m,$(MODULES),$(LIB_$m)))
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
$(foreach p,$(PKGS),$(eval LD_$p := $(shell pkg-config --libs $p 2>/dev/null)))
CFLAGS_ALL := -std=gnu11 -g $(OPT) $(WARN) $(SAN) -I. $(patsubst -I%,-isystem %,$(PKG_CFLAGS)) -D_GNU_SOURCE -DPW_VERSION='"$(VERSION)"'
ld = $(foreach m,$(1),$(LD_$(LIB_$m))) -lpthread -lm
LD_ :=

MAINS := $(foreach p,$(PROGRAMS),$(MAIN_$p))
CFILES := $(sort $(shell find shared master worker client -name '*.c'))
SRC   := $(filter-out %_test.c,$(CFILES))
TESTS := $(filter %_test.c,$(CFILES))
FUZZ  := $(wildcard tests/fuzz/*_fuzz.c)
HDRS  := $(sort $(shell find shared master worker client -name '*.h'))
obj    = $(patsubst %.c,$(O)/%.o,$(1))
libof  = $(O)/lib/$(subst /,_,$(1)).a
srcof  = $(filter-out $(MAINS),$(filter $(1)/%,$(SRC)))
TBIN  := $(patsubst %.c,$(O)/%,$(TESTS))
FBIN  := $(patsubst tests/fuzz/%.c,$(O)/%,$(FUZZ))
BINS  := $(addprefix $(O)/,$(PROGRAMS))

.PHONY: all FORCE
all: $(BINS) ## build the programs into build/release/

$(O)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	@echo "CC $<"; $(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<
# rebuild everything when flags change
$(O)/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(subst ','\'',$(CFLAGS_ALL))' | cmp -s - $@ || echo '$(CC) $(subst ','\'',$(CFLAGS_ALL))' >$@

# the migrations are embedded by the assembler, which names no dependency
$(O)/master/store/sql.o: $(wildcard master/store/migrations/*.sql)

define mod_lib
CLOSURE_$(1) := $$(call closure,$(1))
$(call libof,$(1)): $$(call obj,$$(call srcof,$(1)))
	@mkdir -p $$(@D); rm -f $$@; ar rcsD $$@ $$^
endef
$(foreach m,$(MODULES),$(eval $(call mod_lib,$m)))

# pawl-run is static in the release: it starts once an agent and then forks once a job, and touches fewer pages
STATIC_pawl-run := $(if $(filter release,$(V)),-static)
define prog
$(if $(filter undefined,$(origin STATIC_$(1))),$(eval STATIC_$(1) :=))
CLOSURE_$(1) := $$(foreach m,$$(MODULES_DOWN),$$(if $$(filter $$m,$$(foreach u,$$(USES_$(1)),$$(call reach,$$u))),$$m))
$(O)/$(1): $$(call obj,$$(MAIN_$(1))) $$(foreach m,$$(CLOSURE_$(1)),$$(call libof,$$m))
	@echo "LD $$@"; $$(CC) $$(SAN) $$(if $$(STATIC_$(1)),-static,$$(if $$(filter release,$$(V)),-pie -Wl$$(,)-z$$(,)relro$$(,)-z$$(,)now)) -o $$@ $$^ $$(call ld,$$(CLOSURE_$(1)))
endef
$(foreach p,$(PROGRAMS),$(eval $(call prog,$p)))

# what a torture run makes fail: all that our objects allocate by (tests/fault.c)
tort_wrap = $(foreach f,malloc calloc realloc reallocarray aligned_alloc strdup strndup realpath opendir fdopendir mkdtemp,-Wl$(,)--wrap=$f)
# a test links its own folder and what stands below it, nothing else: the link enforces the layering
define test_bin
CLOSURE_T_$(1) := $$(CLOSURE_$(patsubst %/,%,$(dir $(1))))
$(O)/$(1): $(O)/$(1).o $$(foreach m,$$(CLOSURE_T_$(1)),$$(call libof,$$m))
	@echo "LD $$@"; $$(CC) $$(SAN) -o $$@ $$^ $$(call ld,$$(CLOSURE_T_$(1)))
$(O)/$(1)_torture: $(O)/$(1).o $(O)/tests/fault.o $$(foreach m,$$(CLOSURE_T_$(1)),$$(call libof,$$m))
	@echo "LD $$@"; $$(CC) $$(SAN) -o $$@ $$^ $(tort_wrap) $$(call ld,$$(CLOSURE_T_$(1)))
endef
$(foreach t,$(patsubst %.c,%,$(TESTS)),$(eval $(call test_bin,$t)))
# a fuzzer links everything
ALL_LIBS := $(foreach m,$(MODULES_DOWN),$(call libof,$m))
$(FBIN): $(O)/%: $(O)/tests/fuzz/%.o $(ALL_LIBS)
	$(CC) $(SAN) -fsanitize=fuzzer -o $@ $^ $(call ld,$(MODULES_DOWN))

include web/build.mk
include tests/checks.mk
-include $(shell find $(O) -name '*.d' 2>/dev/null)
