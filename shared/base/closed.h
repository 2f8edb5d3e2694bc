/* closed.h - a process that keeps secrets keeps its memory to itself. Any thread, any number of
 * times; what it starts by exec is as open as any program. */
#ifndef PW_SHARED_BASE_CLOSED_H
#define PW_SHARED_BASE_CLOSED_H

/* From now on there is no core dump of this process, and others of the same user cannot read its
 * memory or environment, nor trace it; root can. */
void pw_closed(void);

#endif
