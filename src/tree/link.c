/* What a symbolic link inside a tree may lead to; tree.h says why this is enough. Pure text. */
#include <string.h>

#include "tree/tree.h"

static bool is_up(const char *part, size_t n) {
    return n == 2 && part[0] == '.' && part[1] == '.';
}

const char *sg_link_refused(unsigned depth, const char *target, size_t size) {
    unsigned ups = 0;
    bool named = false;
    if (size == 0 || size > SG_TREE_TARGET)
        return size == 0 ? "an empty link" : "the target of a link is too long";
    if (target[0] == '/')
        return "an absolute link";
    for (size_t at = 0; at <= size;) {
        const char *slash = memchr(target + at, '/', size - at);
        size_t n = slash == NULL ? size - at : (size_t)(slash - target) - at;
        if (n == 0 || (n == 1 && target[at] == '.') || n > SG_TREE_NAME || memchr(target + at, 0, n) != NULL)
            return "the target of a link is not in its simplest form";
        if (is_up(target + at, n)) {
            if (named)
                return "a link with \"..\" behind a name";
            if (++ups > depth)
                return "a link that leads out of the tree";
        } else {
            named = true;
        }
        at += n + 1;
    }
    return NULL;
}

size_t sg_link_tidy(char *target) {
    char *out = target;
    if (*target == '/')
        return strlen(target);
    for (const char *in = target; *in != '\0';) {
        size_t n = strcspn(in, "/");
        if (n > 0 && !(n == 1 && *in == '.')) {
            if (out != target)
                *out++ = '/';
            memmove(out, in, n);
            out += n;
        }
        in += n;
        in += strspn(in, "/");
    }
    *out = '\0';
    return (size_t)(out - target);
}
