/* fault.h - named fault points: PW_FAULT=store.commit:3 in the environment makes the third passage
 * of that point fail.
 * `:N` counts passages (default 1); `NAME:N=kill` kills the process there instead, `=pause` stops
 * it (SIGSTOP), `=error` is the default; several are separated by commas. Costs one branch when the
 * variable is unset. What a process forks later counts with it, so a fault of pawl-run happens once
 * however many runners there are. PW_FAULT_SEEN names a file that gets a line for each fault that
 * happened. The points: docs/reliability.md. */
#ifndef PW_SHARED_BASE_FAULT_H
#define PW_SHARED_BASE_FAULT_H
#include <stdbool.h>
/* True when this passage must fail. Any thread. */
bool pw_fault(const char *name);
#endif
