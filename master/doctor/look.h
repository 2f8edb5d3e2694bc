/* look.h - the parts of the look; inside this folder. */
#ifndef PW_MASTER_DOCTOR_LOOK_H
#define PW_MASTER_DOCTOR_LOOK_H
#include "master/config/config.h"
#include "master/doctor/doctor.h"
#include "master/store/deep.h"

typedef struct look {
    const doctor_options *o;
    findings *f;
    store_deep *rows; /* NULL: there is no database that can be read */
    config *conf;     /* NULL: none that can be read */
    bool running;     /* a master holds the lock */
    pw_msec now;
} look;

/* ---- place.c: the directory itself */
void look_place(look *l);
void look_space(look *l);
void look_clock(look *l);
void look_backup(look *l);
void look_token(look *l);
/* ---- rows.c: the database, and the output that it names */
void look_database(look *l);
void look_output(look *l);
/* ---- files.c: files of builds */
void look_files(look *l);
void look_stray_files(look *l);
/* ---- strays.c: files that nothing names */
void look_strays(look *l);
/* ---- repos.c: each repository of the configuration */
void look_repositories(look *l);
#endif
