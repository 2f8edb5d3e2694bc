/* trim.h - gives back what only a program's start needed. A process linked to many libraries
 * carries some MB of program text that their initialisation touched once and that the kernel mapped
 * around it; those pages stay in the page cache and come back one by one when they are needed.
 * Private data is never touched. Any thread; blocks for some 100 us; failures do not matter. */
#ifndef PW_SHARED_BASE_TRIM_H
#define PW_SHARED_BASE_TRIM_H
void pw_trim(void);
#endif
