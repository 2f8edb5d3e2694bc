# The simulator: the programs' own objects, their file calls sent to virtual disks by the linker.
# All calls on files that the objects of master, agent and shared make (nm shows them), and their _chk forms;
# tests/sim/wraps.sh holds the list against the objects.
SIM_WRAPS := open openat read write pread pwrite pwritev lseek fstat stat lstat fstatat access rename renameat renameat2 \
             unlink unlinkat mkdir rmdir opendir fdopendir readdir rewinddir dirfd closedir fsync fdatasync ftruncate \
             fallocate sync_file_range flock fcntl statvfs close mkfifo mkostemp fchmod fchmodat realpath syscall \
             __open_2 __openat_2 __read_chk __pread_chk
SIM_DISK  := $(addprefix $(O)/tests/sim/,disk.o names.o content.o files.o paths.o image.o wrap.o vfs.o shm.o)
sim_wrap   = $(foreach s,$(SIM_WRAPS),-Wl$(,)--wrap=$s)

# several folders and everything below them, in link order
sim_closure = $(foreach m,$(MODULES_DOWN),$(if $(filter $m,$(foreach u,$(1),$(call reach,$u))),$m))
DISK_TEST  := $(call sim_closure,master/logs shared/journal worker/spool)
define disk_test_bin
$(O)/$(1)_sim: $(O)/tests/sim/$(1).o $(SIM_DISK) $(foreach m,$(DISK_TEST),$(call libof,$m))
	@echo "LD $$@"; $(CC) $(SAN) -o $$@ $$^ $(sim_wrap) $(call ld,$(DISK_TEST))
endef
$(foreach t,disk_test disk_real_test,$(eval $(call disk_test_bin,$t)))
SIM_TBIN  := $(O)/disk_test_sim $(O)/disk_real_test_sim
