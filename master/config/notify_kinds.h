/* notify_kinds.h - the keys of `notify` that only some kinds have. Private to this folder. */
#ifndef PW_MASTER_CONFIG_NOTIFY_KINDS_H
#define PW_MASTER_CONFIG_NOTIFY_KINDS_H
#include "master/config/load.h"

extern const char *const config_notify_kinds[];
/* False: it is no mapping, or has a key that this kind has not. */
bool config_notify_check_keys(config_reader *r, const yaml_node *map, config_notify_kind kind);
/* States of commits: one a builder and revision, whatever else would be told. */
bool config_notify_is_status(config_notify_kind kind);
/* All but `name`, `url`, `events` and the filters of every kind; after `projects` was read. */
void config_notify_read_kind(config_reader *r, const yaml_node *map, config_notify *n);
#endif
