/*
 * JSON writer; see json.h. Keeps a stack of open levels of fixed depth, owns nothing, and writes only valid
 * UTF-8 whatever it is given.
 */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "saggar/saggar.h"

static void put(struct sg_json *json, const void *p, size_t n) {
    if (json->err != SAGGAR_OK || n == 0)
        return;
    if (json->buf != NULL)
        json->err = sg_buf_add(json->buf, p, n);
    else if (fwrite(p, 1, n, json->file) != n)
        json->err = SAGGAR_EIO;
}

static void put_text(struct sg_json *json, const char *text) {
    put(json, text, strlen(text));
}

static void fail(struct sg_json *json) {
    if (json->err == SAGGAR_OK)
        json->err = SAGGAR_EINVAL;
}

static void new_line(struct sg_json *json) {
    static const char spaces[] = "                                ";
    if (json->indent == 0)
        return;
    put(json, "\n", 1);
    for (int n = json->indent * json->depth; n > 0; n -= 32)
        put(json, spaces, n < 32 ? (size_t)n : 32);
}

/* The comma and the line break before an element of the innermost level. */
static void separate(struct sg_json *json) {
    int top = json->depth - 1;
    if (json->level[top].filled)
        put_text(json, json->indent ? "," : ", ");
    json->level[top].filled = true;
    new_line(json);
}

/* What must be true before a value, and what stands between it and its predecessor. */
static void before_value(struct sg_json *json) {
    if (json->err != SAGGAR_OK)
        return;
    if (json->depth == 0) {
        if (json->done)
            fail(json);
        json->done = true;
    } else if (json->level[json->depth - 1].object) {
        if (!json->after_key)
            fail(json);
        json->after_key = false;
    } else {
        separate(json);
    }
}

static void start(struct sg_json *json, bool object) {
    before_value(json);
    if (json->depth == SG_JSON_DEPTH_MAX && json->err == SAGGAR_OK)
        json->err = SAGGAR_ELIMIT;
    if (json->err != SAGGAR_OK)
        return;
    json->level[json->depth].object = object;
    json->level[json->depth].filled = false;
    json->depth++;
    put_text(json, object ? "{" : "[");
}

static void finish(struct sg_json *json, bool object) {
    if (json->err != SAGGAR_OK)
        return;
    if (json->depth == 0 || json->level[json->depth - 1].object != object || json->after_key) {
        fail(json);
        return;
    }
    json->depth--;
    if (json->level[json->depth].filled)
        new_line(json);
    put_text(json, object ? "}" : "]");
}

void sg_json_file(struct sg_json *json, FILE *file, int indent) {
    *json = (struct sg_json){.file = file, .indent = indent, .err = SAGGAR_OK};
}

void sg_json_buf(struct sg_json *json, struct sg_buf *buf, int indent) {
    *json = (struct sg_json){.buf = buf, .indent = indent, .err = SAGGAR_OK};
}

void sg_json_object(struct sg_json *json) {
    start(json, true);
}

void sg_json_object_end(struct sg_json *json) {
    finish(json, true);
}

void sg_json_array(struct sg_json *json) {
    start(json, false);
}

void sg_json_array_end(struct sg_json *json) {
    finish(json, false);
}

/* One escape of the string at p, at least one byte of it; returns how many bytes it stands for. */
static size_t escape(struct sg_json *json, const unsigned char *p, size_t n) {
    char text[8];
    const char *named = NULL;
    switch (p[0]) {
    case '"':
        named = "\\\"";
        break;
    case '\\':
        named = "\\\\";
        break;
    case '\n':
        named = "\\n";
        break;
    case '\r':
        named = "\\r";
        break;
    case '\t':
        named = "\\t";
        break;
    default:
        break;
    }
    if (named != NULL) {
        put_text(json, named);
        return 1;
    }
    size_t len = sg_utf8_len(p, n);
    if (len > 1 || (len == 1 && p[0] >= 0x20 && p[0] != 0x7f)) {
        put(json, p, len);
        return len;
    }
    snprintf(text, sizeof text, len == 0 ? "\\udc%02x" : "\\u00%02x", p[0]);
    put_text(json, text);
    return 1;
}

static void put_string(struct sg_json *json, const unsigned char *p, size_t n) {
    put(json, "\"", 1);
    for (size_t i = 0; i < n && json->err == SAGGAR_OK;) {
        size_t plain = i;
        while (plain < n && p[plain] >= 0x20 && p[plain] < 0x7f && p[plain] != '"' && p[plain] != '\\')
            plain++;
        put(json, p + i, plain - i);
        i = plain;
        if (i < n)
            i += escape(json, p + i, n - i);
    }
    put(json, "\"", 1);
}

void sg_json_key(struct sg_json *json, const char *key) {
    if (json->err != SAGGAR_OK)
        return;
    if (json->depth == 0 || !json->level[json->depth - 1].object || json->after_key) {
        fail(json);
        return;
    }
    separate(json);
    put_string(json, (const unsigned char *)key, strlen(key));
    put_text(json, ": ");
    json->after_key = true;
}

void sg_json_bytes(struct sg_json *json, const void *p, size_t n) {
    before_value(json);
    put_string(json, p, n);
}

void sg_json_str(struct sg_json *json, const char *text) {
    if (text == NULL)
        sg_json_null(json);
    else
        sg_json_bytes(json, text, strlen(text));
}

void sg_json_hex(struct sg_json *json, const void *p, size_t n) {
    const unsigned char *b = p;
    char two[3];
    before_value(json);
    put(json, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        sg_hex(two, b + i, 1);
        put(json, two, 2);
    }
    put(json, "\"", 1);
}

static void put_value(struct sg_json *json, const char *text) {
    before_value(json);
    put_text(json, text);
}

void sg_json_int(struct sg_json *json, int64_t v) {
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, v);
    put_value(json, text);
}

void sg_json_uint(struct sg_json *json, uint64_t v) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, v);
    put_value(json, text);
}

void sg_json_real(struct sg_json *json, double v) {
    static const char digits[] = "0123456789+-e";
    char text[40];
    if (!isfinite(v)) {
        sg_json_null(json);
        return;
    }
    snprintf(text, sizeof text, "%.15g", v);
    /* Some locales have another decimal point, of one byte or of several. */
    size_t whole = strspn(text, digits);
    size_t point = strcspn(text + whole, digits);
    if (point != 0) {
        text[whole] = '.';
        memmove(text + whole + 1, text + whole + point, strlen(text + whole + point) + 1);
    }
    put_value(json, text);
}

void sg_json_bool(struct sg_json *json, bool v) {
    put_value(json, v ? "true" : "false");
}

void sg_json_null(struct sg_json *json) {
    put_value(json, "null");
}

int sg_json_end(struct sg_json *json) {
    if (json->depth != 0 || !json->done)
        fail(json);
    put(json, "\n", 1);
    if (json->err == SAGGAR_OK && json->file != NULL && fflush(json->file) != 0)
        json->err = SAGGAR_EIO;
    return json->err;
}
