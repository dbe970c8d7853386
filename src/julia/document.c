/* What needs no parser; see document.h. */
#include "julia/document.h"

#include <stdlib.h>
#include <string.h>

static void clear(struct sg_doc *doc) {
    for (size_t i = 0; i < doc->n; i++) {
        clear(&doc->item[i]); /* no deeper than SG_DOC_DEPTH */
        if (doc->key != NULL)
            free(doc->key[i]);
    }
    free(doc->item);
    free(doc->key);
    free(doc->text);
}

void sg_doc_free(struct sg_doc *doc) {
    if (doc != NULL)
        clear(doc);
    free(doc);
}

static int by_name(const void *name, const void *key) {
    return strcmp(name, *(const char *const *)key);
}

const struct sg_doc *sg_doc_get(const struct sg_doc *table, const char *key) {
    if (table == NULL || table->kind != SG_DOC_TABLE || table->n == 0)
        return NULL;
    char **found = bsearch(key, table->key, table->n, sizeof *table->key, by_name);
    return found != NULL ? &table->item[found - table->key] : NULL;
}

const char *sg_doc_text(const struct sg_doc *table, const char *key) {
    const struct sg_doc *doc = sg_doc_get(table, key);
    return doc != NULL && doc->kind == SG_DOC_TEXT && strlen(doc->text) == doc->size ? doc->text : NULL;
}
