/* schemas.h - what the objects of answers look like, printed as JSON Schema. Constant: any thread
 * may call. */
#ifndef PW_MASTER_HTTP_SCHEMAS_H
#define PW_MASTER_HTTP_SCHEMAS_H
#include <stddef.h>

#include "shared/base/buf.h"

typedef struct web_schema {
    const char *name;
    const char *fields; /* see schemas.c */
} web_schema;
/* NULL: there is none. */
const web_schema *web_schema_find(const char *name, size_t n);
/* All of them, as members of the object that is open. */
void web_schemas(pw_buf *b);
/* The members of one type's schema: "Build", "Build[]", "string?". */
void web_schema_type(pw_buf *b, const char *type);
#endif
