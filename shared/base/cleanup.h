/* cleanup.h - scope-bound release of resources. Leaf header: includes nothing of ours. */
#ifndef PW_SHARED_BASE_CLEANUP_H
#define PW_SHARED_BASE_CLEANUP_H

#define PW_AUTO(fn) __attribute__((cleanup(fn)))

/* Defines x_freep() from x_free(), for use with PW_AUTO(); x_free must accept NULL. */
#define PW_DEFINE_FREEP(type, fn)                                                                  \
    static inline void fn##p(type **p)                                                             \
    {                                                                                              \
        fn(*p);                                                                                    \
        *p = NULL;                                                                                 \
    }

/* Moves ownership out of a variable: the variable becomes NULL. */
#define pw_take(var)                                                                               \
    __extension__({                                                                                \
        __typeof__(var) pw_take_tmp = (var);                                                       \
        (var) = NULL;                                                                              \
        pw_take_tmp;                                                                               \
    })
#endif
