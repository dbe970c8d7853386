/*
 * A TOML or JSON document as a tree of plain values.
 *
 * The parsers are C++ (toml11, nlohmann/json) and stand behind document.cpp alone; a build without them has
 * document_none.c instead, whose readers always fail and say so. Nothing thrown gets out.
 */
#ifndef SG_JULIA_DOCUMENT_H
#define SG_JULIA_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sg_doc_kind {
    SG_DOC_NULL,
    SG_DOC_BOOL,
    SG_DOC_INT,
    SG_DOC_REAL,
    SG_DOC_TEXT,
    SG_DOC_ARRAY,
    SG_DOC_TABLE,
    SG_DOC_OTHER /* a date or time, or an integer that does not fit */
};

struct sg_doc {
    enum sg_doc_kind kind;
    bool truth;
    int64_t integer;
    double real;
    char *text; /* TEXT: NUL-terminated; `size` counts what stands before the end */
    size_t size;
    struct sg_doc *item; /* ARRAY, TABLE: n of them */
    char **key;          /* TABLE: sorted, each once */
    size_t n;
};

enum { SG_DOC_DEPTH = 64 };

/* Whether this build can read documents at all. */
bool sg_doc_possible(void);

/*
 * Parses `size` bytes. NULL: `why` (room > 0) says in one line what is wrong with them. Free it with
 * sg_doc_free(), which takes NULL too.
 */
struct sg_doc *sg_doc_toml(const char *bytes, size_t size, char *why, size_t room);
struct sg_doc *sg_doc_json(const char *bytes, size_t size, char *why, size_t room);
void sg_doc_free(struct sg_doc *doc);

/* The value under a key, NULL if there is none, or if `table` is NULL or no table. */
const struct sg_doc *sg_doc_get(const struct sg_doc *table, const char *key);
/* The same, if it is a text without NULs; else NULL. */
const char *sg_doc_text(const struct sg_doc *table, const char *key);

#ifdef __cplusplus
}
#endif

#endif
