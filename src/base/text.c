/* UTF-8, and names printed for people; see json.h. */
#include <stdint.h>
#include <stdio.h>

#include "base/json.h"

/* The code point of a sequence that sg_utf8_len() found valid. */
static uint32_t code_point(const unsigned char *p, size_t len) {
    static const unsigned char lead[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = p[0] & lead[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (p[i] & 0x3fu);
    return c;
}

size_t sg_utf8_len(const unsigned char *p, size_t n) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len;
    if (n == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        len = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        len = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (n < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    uint32_t c = code_point(p, len);
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    return len;
}

/* Characters that move the cursor, end a line or turn the direction of what follows. */
static int is_unsafe(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static const char *named_escape(unsigned char c) {
    switch (c) {
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    case '\\':
        return "\\\\";
    default:
        return NULL;
    }
}

void sg_print_name(FILE *file, const void *p, size_t n) {
    const unsigned char *b = p;
    for (size_t i = 0; i < n;) {
        const char *named = named_escape(b[i]);
        size_t len = sg_utf8_len(b + i, n - i);
        if (named != NULL) {
            fputs(named, file);
            i++;
        } else if (len != 0 && !is_unsafe(code_point(b + i, len))) {
            fwrite(b + i, 1, len, file);
            i += len;
        } else {
            for (size_t end = i + (len ? len : 1); i < end; i++)
                fprintf(file, "\\x%02x", b[i]);
        }
    }
}
