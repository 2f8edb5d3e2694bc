# The simulator: the programs' own objects, their file calls sent to virtual disks by the linker.
# Every call on files in the objects of master, agent and shared; tests/sim/wraps.sh holds the list against them.
SIM_WRAPS := open openat read write pread pwrite pwritev lseek fstat stat lstat fstatat access rename renameat renameat2 \
             unlink unlinkat mkdir rmdir opendir fdopendir readdir rewinddir dirfd closedir fsync fdatasync ftruncate \
             fallocate sync_file_range flock fcntl statvfs close mkfifo mkostemp chmod fchmod fchmodat fchownat realpath syscall \
             __open_2 __openat_2 __read_chk __pread_chk __realpath_chk
sim_wrap   = $(foreach s,$(SIM_WRAPS),-Wl$(,)--wrap=$s)
# several folders and everything below them, in link order
sim_closure = $(foreach m,$(MODULES_DOWN),$(if $(filter $m,$(foreach u,$(1),$(call reach,$u))),$m))
SIM_REAL  := $(call sim_closure,master/link master/logs worker/agent)

SIM_DISK  := $(addprefix $(O)/tests/sim/,disk.o names.o content.o files.o paths.o image.o wrap.o vfs.o shm.o)
DISK_TEST := $(call sim_closure,master/logs worker/agent)
SIM_TBIN  := $(addprefix $(O)/,disk_test_sim disk_random_test_sim disk_sqlite_test_sim disk_real_test_sim)
$(O)/tests/sim/wraps.ok: tests/sim/wraps.sh tests/sim/sim.mk $(foreach m,$(SIM_REAL),$(call libof,$m))
	@mkdir -p $(@D); tests/sim/wraps.sh "$(SIM_WRAPS)" $(filter %.a,$^) && touch $@
$(SIM_TBIN): $(O)/%_sim: $(O)/tests/sim/%.o $(SIM_DISK) $(foreach m,$(DISK_TEST),$(call libof,$m)) | $(O)/tests/sim/wraps.ok
	@echo "LD $@"; $(CC) $(SAN) -o $@ $^ $(sim_wrap) $(call ld,$(DISK_TEST))

# The simulator links everything, as a fuzzer does; what it plays itself is wrapped, nothing is compiled otherwise.
SIM_WORLD_WRAPS := clock_gettime getrandom pthread_create pthread_join pthread_cond_wait pthread_cond_timedwait \
                   pthread_cond_signal pthread_cond_broadcast facts_read pw_fault link_send git_send \
                   pw_source_at pw_loop_slow web_events web_worker web_look spool_control_send
SIM_WORLD := $(addprefix $(O)/tests/sim/,main.o history.o oracle.o reckoning.o people.o master.o worker.o runner.o remote.o net.o host.o \
               threads.o trace.o)
$(O)/sim: $(SIM_WORLD) $(SIM_DISK) $(ALL_LIBS) | $(O)/tests/sim/wraps.ok
	@echo "LD $@"; $(CC) $(SAN) -Wl$(,)-Map=$@.map -o $@ $^ $(sim_wrap) $(foreach s,$(SIM_WORLD_WRAPS),-Wl$(,)--wrap=$s) $(call ld,$(MODULES_DOWN))
# what decides in it is what decides in the programs; a part of `make unit`
SIM_SAME := $(O)/tests/sim/same_objects.ok
SIM_PROGRAMS := $(sort $(foreach p,pawl-master pawl-worker,$(foreach m,$(CLOSURE_$p),$(call libof,$m))))
$(SIM_SAME): $(O)/sim tests/sim/same_objects.sh tests/sim/sim.mk $(O)/pawl-master $(O)/pawl-worker
	@tests/sim/same_objects.sh $(O)/sim $(O)/sim.map "$(SIM_WRAPS) $(SIM_WORLD_WRAPS)" "$(SIM_PROGRAMS)" $(SIM_WORLD) $(SIM_DISK) && touch $@
