/* err.h - the one error object. A function that can fail returns 0 or a negative pw_code and
 * takes `pw_err *err` last (may be NULL). *err is written only on failure. */
#ifndef PW_SHARED_BASE_ERR_H
#define PW_SHARED_BASE_ERR_H

typedef enum pw_code {
    PW_OK = 0,
    PW_EINVAL = -1,
    PW_ENOTFOUND = -2,
    PW_EPROTO = -3,
    PW_ELIMIT = -4,
    PW_ENOMEM = -5,
    PW_ESYS = -6,      /* the system refused: errno is in sys */
    PW_ECONFLICT = -7, /* the thing exists already, or is in a state that forbids it */
    PW_EAGAIN = -8,    /* not now: try again later */
    PW_EDENIED = -9,   /* not allowed */
    PW_ECORRUPT = -10, /* stored data is damaged */
    PW_ETIMEDOUT = -11,
    PW_EFULL = -12, /* no room: disk, queue, window */
} pw_code;

typedef struct pw_err {
    pw_code code;
    int sys; /* errno, or the library's own code; 0 when none */
    const char *file;
    int line;
    char text[400]; /* primary message: lower case, no period, names the object */
} pw_err;

/* Fills *err (if not NULL) and returns code; keeps errno unchanged. */
int pw_fail_at(pw_err *err, const char *file, int line, pw_code code, int sys, const char *fmt, ...)
    __attribute__((format(printf, 6, 7), cold));
/* Prefixes "fmt: " to the text, to add context while the error travels up; returns err->code. */
int pw_err_context(pw_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

#define pw_fail(err, code, ...) pw_fail_at((err), __FILE__, __LINE__, (code), 0, __VA_ARGS__)
#define pw_fail_sys(err, ...) pw_fail_at((err), __FILE__, __LINE__, PW_ESYS, errno, __VA_ARGS__)
#endif
