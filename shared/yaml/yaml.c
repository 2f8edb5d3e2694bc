/* yaml.c - from libyaml's events to a tree of nodes. Recursion is bounded by YAML_DEPTH_MAX. */
#include "shared/yaml/yaml.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "shared/yaml/node.h"

typedef struct anchor {
    char *name; /* owned */
    yaml_node
        *node; /* borrowed; NULL while it is still being read: an alias inside would be a circle */
} anchor;

struct yaml_doc {
    char *file;        /* owned */
    yaml_node **nodes; /* owned, all of them, for freeing */
    size_t n_nodes;
    anchor *anchors; /* owned */
    size_t n_anchors;
    size_t aliased; /* nodes reached through aliases so far */
    yaml_node *root;
};

typedef struct reader {
    yaml_doc *doc;
    yaml_parser_t parser;
    yaml_errors *errors;
    const char *text; /* borrowed */
    size_t n;
} reader;

enum { ANCHORS_MAX = 1000 };

yaml_doc *yaml_doc_free(yaml_doc *self)
{
    if (!self)
        return NULL;
    for (size_t i = 0; i < self->n_nodes; i++) {
        free(self->nodes[i]->text);
        free(self->nodes[i]->pairs);
        free(self->nodes[i]->items);
        free(self->nodes[i]);
    }
    for (size_t i = 0; i < self->n_anchors; i++)
        free(self->anchors[i].name);
    free(self->nodes);
    free(self->anchors);
    free(self->file);
    free(self);
    return NULL;
}

/* Appends room for one element to an array that doubles; NULL when memory ran out. */
static void *grown(void *v, size_t n, size_t size, yaml_errors *errors)
{
    if (n & (n - 1))
        return v;
    void *p = reallocarray(v, n ? n * 2 : 1, size);
    if (!p)
        errors->failed = true;
    return p;
}

static void fail_mark(reader *r, yaml_mark_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void fail_mark(reader *r, yaml_mark_t at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    yaml_errors_vadd(r->errors, r->doc->file, (unsigned)at.line + 1, (unsigned)at.column + 1, fmt,
                     ap);
    va_end(ap);
}

static yaml_node *node_new(reader *r, yaml_mark_t at, yaml_type type)
{
    yaml_doc *d = r->doc;
    if (d->n_nodes >= YAML_WRITTEN_MAX) {
        fail_mark(r, at, "the file has more than %d values", YAML_WRITTEN_MAX);
        return NULL;
    }
    yaml_node **v = grown(d->nodes, d->n_nodes, sizeof(*v), r->errors);
    if (!v)
        return NULL;
    d->nodes = v;
    yaml_node *n = calloc(1, sizeof(*n));
    if (!n) {
        r->errors->failed = true;
        return NULL;
    }
    *n = (yaml_node){.file = d->file,
                     .line = (unsigned)at.line + 1,
                     .column = (unsigned)at.column + 1,
                     .type = type,
                     .size = 1,
                     .height = 1};
    d->nodes[d->n_nodes++] = n;
    return n;
}

static bool null_word(const char *s)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    for (size_t i = 0; words[i]; i++)
        if (strcmp(words[i], s) == 0)
            return true;
    return false;
}

static yaml_node *scalar_new(reader *r, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value, *tag = (const char *)e->data.scalar.tag;
    yaml_node *n = node_new(r, e->start_mark, YAML_SCALAR);
    if (!n)
        return NULL;
    n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && e->data.scalar.plain_implicit;
    n->text = strdup(text);
    if (!n->text) {
        r->errors->failed = true;
        return NULL;
    }
    if (strlen(text) != e->data.scalar.length) {
        yaml_fail(r->errors, n, "a text must not hold a NUL byte");
        n->bad = true;
    }
    if (n->plain && null_word(text))
        n->type = YAML_NULL;
    if (tag && strcmp(tag, YAML_STR_TAG) != 0 && strcmp(tag, "!") != 0) {
        yaml_fail(r->errors, n, "tags are not supported: \"%.60s\"", tag);
        n->bad = true;
    }
    return n;
}

static anchor *anchor_find(yaml_doc *d, const char *name)
{
    for (size_t i = d->n_anchors; i; i--)
        if (strcmp(d->anchors[i - 1].name, name) == 0)
            return &d->anchors[i - 1];
    return NULL;
}

/* Notes that an anchor begins here; *ret_index is its place, SIZE_MAX when the event has none. */
static bool anchor_begin(reader *r, const yaml_event_t *e, const yaml_char_t *name,
                         size_t *ret_index)
{
    yaml_doc *d = r->doc;
    *ret_index = SIZE_MAX;
    if (!name)
        return true;
    anchor *a = anchor_find(d, (const char *)name);
    if (a) { /* YAML lets a later anchor take the name over */
        a->node = NULL;
        *ret_index = (size_t)(a - d->anchors);
        return true;
    }
    if (d->n_anchors >= ANCHORS_MAX) {
        fail_mark(r, e->start_mark, "the file has more than %d anchors", ANCHORS_MAX);
        return false;
    }
    a = grown(d->anchors, d->n_anchors, sizeof(*a), r->errors);
    if (!a)
        return false;
    d->anchors = a;
    a[d->n_anchors] = (anchor){.name = pw_strdup((const char *)name, &r->errors->failed)};
    if (!a[d->n_anchors].name)
        return false;
    *ret_index = d->n_anchors++;
    return true;
}

static yaml_node *alias_node(reader *r, const yaml_event_t *e, unsigned depth)
{
    const char *name = (const char *)e->data.alias.anchor;
    anchor *a = anchor_find(r->doc, name);
    if (!a || !a->node) {
        if (a)
            fail_mark(r, e->start_mark, "alias \"*%.60s\" stands inside its own anchor", name);
        else
            fail_mark(r, e->start_mark, "no anchor \"&%.60s\" before this alias", name);
        yaml_node *n = node_new(r, e->start_mark, YAML_NULL);
        if (n)
            n->bad = true;
        return n;
    }
    if (a->node->size > YAML_ALIAS_MAX - r->doc->aliased) {
        fail_mark(r, e->start_mark, "aliases expand to more than %d values", YAML_ALIAS_MAX);
        return NULL;
    }
    if (depth + a->node->height > YAML_DEPTH_MAX) {
        fail_mark(r, e->start_mark, "nested deeper than %d", YAML_DEPTH_MAX);
        return NULL;
    }
    r->doc->aliased += a->node->size;
    return a->node;
}

/* Line and column of a byte: libyaml reads ahead and gives only an offset for what it cannot
 * decode. */
static yaml_mark_t mark_of(const reader *r, size_t offset)
{
    yaml_mark_t m = {0};
    for (size_t i = 0; i < offset && i < r->n; i++) {
        if (r->text[i] == '\n') {
            m.line++;
            m.column = 0;
        } else if (((unsigned char)r->text[i] & 0xc0) != 0x80) {
            m.column++;
        }
    }
    return m;
}

/* What libyaml says, with the place it means. */
static void fail_parser(reader *r)
{
    const yaml_parser_t *p = &r->parser;
    yaml_mark_t at = p->problem_mark;
    if (p->error == YAML_MEMORY_ERROR) {
        r->errors->failed = true;
        return;
    }
    if (p->error == YAML_READER_ERROR) {
        fail_mark(r, mark_of(r, p->problem_offset), "not YAML: %s",
                  p->problem ? p->problem : "unreadable");
        return;
    }
    fail_mark(r, at, "not YAML: %s%s%s", p->context ? p->context : "", p->context ? ": " : "",
              p->problem ? p->problem : "syntax error");
}

static bool next_event(reader *r, yaml_event_t *e)
{
    if (yaml_parser_parse(&r->parser, e))
        return true;
    fail_parser(r);
    return false;
}

static yaml_node *read_node(reader *r, yaml_event_t *e, unsigned depth);

static void count_child(yaml_node *parent, const yaml_node *child)
{
    parent->size += child->size;
    if (child->height + 1 > parent->height)
        parent->height = child->height + 1;
}

static bool read_items(reader *r, yaml_node *list, unsigned depth)
{
    for (;;) {
        yaml_event_t e;
        if (!next_event(r, &e))
            return false;
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            return true;
        }
        const yaml_node *item = read_node(r, &e, depth + 1);
        if (!item)
            return false;
        const yaml_node **v = grown(list->items, list->n, sizeof(*v), r->errors);
        if (!v)
            return false;
        list->items = v;
        list->items[list->n++] = item;
        count_child(list, item);
    }
}

/* A key is a text; anything else is told once and skipped by giving the pair up. */
static bool key_ok(reader *r, yaml_node *key)
{
    if (key->type == YAML_SCALAR)
        return true;
    yaml_fail(r->errors, key, key->type == YAML_NULL ? "a key is missing" : "a key must be a text");
    return false;
}

static bool read_pairs(reader *r, yaml_node *map, unsigned depth)
{
    for (;;) {
        yaml_event_t e;
        if (!next_event(r, &e))
            return false;
        if (e.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&e);
            break;
        }
        yaml_node *key = read_node(r, &e, depth + 1);
        if (!key || !next_event(r, &e))
            return false;
        const yaml_node *value = read_node(r, &e, depth + 1);
        if (!value)
            return false;
        if (!key_ok(r, key))
            continue;
        yaml_pair *v = grown(map->pairs, map->n, sizeof(*v), r->errors);
        if (!v)
            return false;
        map->pairs = v;
        map->pairs[map->n++] = (yaml_pair){.key = key, .value = value};
    }
    if (yaml_pairs_settle(map, r->errors) < 0) {
        r->errors->failed = true;
        return false;
    }
    for (size_t i = 0; i < map->n; i++) {
        count_child(map, map->pairs[i].key);
        count_child(map, map->pairs[i].value);
    }
    return true;
}

static yaml_node *read_group(reader *r, yaml_event_t *e, unsigned depth)
{
    bool map = e->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *tag = map ? e->data.mapping_start.tag : e->data.sequence_start.tag;
    size_t at;
    yaml_node *n = node_new(r, e->start_mark, map ? YAML_MAP : YAML_LIST);
    if (!n || !anchor_begin(
                  r, e, map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor, &at))
        return NULL;
    if (tag && strcmp((const char *)tag, map ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0 &&
        strcmp((const char *)tag, "!") != 0)
        yaml_fail(r->errors, n, "tags are not supported: \"%.60s\"", (const char *)tag);
    if (!(map ? read_pairs(r, n, depth) : read_items(r, n, depth)))
        return NULL;
    if (at != SIZE_MAX)
        r->doc->anchors[at].node = n;
    return n;
}

/* Reads the node that begins with this event (taken). NULL: an error was added, and reading ends.
 */
static yaml_node *read_node(reader *r, yaml_event_t *e, unsigned depth)
{
    yaml_node *n = NULL;
    size_t at;
    if (depth > YAML_DEPTH_MAX) {
        fail_mark(r, e->start_mark, "nested deeper than %d", YAML_DEPTH_MAX);
    } else if (e->type == YAML_ALIAS_EVENT) {
        n = alias_node(r, e, depth - 1);
    } else if (e->type == YAML_SCALAR_EVENT) {
        n = scalar_new(r, e);
        if (n && !anchor_begin(r, e, e->data.scalar.anchor, &at))
            n = NULL;
        else if (n && at != SIZE_MAX)
            r->doc->anchors[at].node = n;
    } else {
        n = read_group(r, e, depth);
    }
    yaml_event_delete(e);
    return n;
}

/* STREAM-START [DOCUMENT-START node DOCUMENT-END] STREAM-END; libyaml keeps the order, so what
 * comes is known. */
static bool read_stream(reader *r)
{
    for (;;) {
        yaml_event_t e;
        if (!next_event(r, &e))
            return false;
        yaml_event_type_t type = e.type;
        yaml_mark_t at = e.start_mark;
        if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT &&
            type != YAML_DOCUMENT_START_EVENT && type != YAML_DOCUMENT_END_EVENT) {
            r->doc->root = read_node(r, &e, 1);
            if (!r->doc->root)
                return false;
            continue;
        }
        yaml_event_delete(&e);
        if (type == YAML_DOCUMENT_START_EVENT && r->doc->root) {
            fail_mark(r, at, "a second document begins here: one file holds one");
            return false;
        }
        if (type != YAML_STREAM_END_EVENT)
            continue;
        if (!r->doc->root)
            r->doc->root = node_new(r, (yaml_mark_t){0}, YAML_NULL);
        return r->doc->root;
    }
}

yaml_doc *yaml_parse(const char *file, const char *text, size_t n, yaml_errors *errors)
{
    PW_AUTO(yaml_freep) yaml_doc *doc = calloc(1, sizeof(*doc));
    if (n > YAML_TEXT_MAX) {
        yaml_errors_add(errors, file, 1, 1, "the file is larger than %d MiB",
                        YAML_TEXT_MAX / (1024 * 1024));
        return NULL;
    }
    if (!doc || !(doc->file = pw_strdup(file, &errors->failed))) {
        errors->failed = true;
        return NULL;
    }
    if (n >= 3 &&
        memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark would shift the columns */
        text += 3;
        n -= 3;
    }
    reader r = {.doc = doc, .errors = errors, .text = text, .n = n};
    if (!yaml_parser_initialize(&r.parser)) {
        errors->failed = true;
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(n ? text : ""), n);
    bool good = read_stream(&r);
    yaml_parser_delete(&r.parser);
    return good ? pw_take(doc) : NULL;
}

const yaml_node *yaml_root(const yaml_doc *self)
{
    return self->root;
}
