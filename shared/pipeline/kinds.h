/* kinds.h - what the kinds of steps beside `run` and `checkout` take. Each reads the value of its
 * own key and what stands beside it. */
#ifndef PW_SHARED_PIPELINE_KINDS_H
#define PW_SHARED_PIPELINE_KINDS_H
#include "shared/pipeline/read.h"

/* `sparse` of a checkout. */
void pl_read_sparse(pl_reader *r, const yaml_node *map, pl_step *s);
typedef void pl_read_kind(pl_reader *r, const yaml_node *map, pl_strs *secrets, pl_step *s);
pl_read_kind pl_read_set_property, pl_read_annotate, pl_read_http, pl_read_cache, pl_read_fetch,
    pl_read_trigger;
/* Copies name and value into `with` of the step. */
void pl_add_with(pl_reader *r, pl_step *s, const char *name, const char *value);
/* `dir`, `env` and the limits: of all that runs something. */
pl_read_kind pl_read_place;
/* A path below the work directory, without "..". */
bool pl_dir_ok(const char *s);
/* Puts behind the steps one for each cache, which keeps it. */
void pl_add_cache_saves(pl_reader *r, pl_builder *b);
#endif
