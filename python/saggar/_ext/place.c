/*
 * Where the encoder stands: the open containers from the outermost one. They find cycles, and name the place
 * in messages. A level holds its container, and what that was made from, until it is left.
 */
#include "ext.h"

#include <stdarg.h>

/* ---- the path and messages ---- */

static PyObject *path_step(PyObject *path, const struct ext_level *level) {
    PyObject *step;
    if (level->at == NULL) {
        step = level->index < 0 ? PyUnicode_FromString("{}") : PyUnicode_FromFormat("[%zd]", level->index);
    } else if (PyUnicode_CheckExact(level->at) && level->index < 0) {
        step = PyUnicode_FromFormat("%s%U", PyUnicode_GET_LENGTH(path) > 0 ? "." : "", level->at);
    } else if (PyUnicode_CheckExact(level->at) || PyLong_CheckExact(level->at)) {
        step = PyUnicode_FromFormat("[%R]", level->at);
    } else {
        step = PyUnicode_FromFormat("[key %zd]", level->index);
    }
    PyObject *longer = step == NULL ? NULL : PyUnicode_Concat(path, step);
    Py_XDECREF(step);
    Py_DECREF(path);
    return longer;
}

/** "" or " at closure[0].x". */
static PyObject *path_text(const struct ext_encoder *e) {
    PyObject *path = PyUnicode_FromString("");
    for (int i = 0; i < e->depth && path != NULL; i++) {
        path = path_step(path, &e->level[i]);
    }
    if (path == NULL || PyUnicode_GET_LENGTH(path) == 0) {
        return path;
    }
    PyObject *text = PyUnicode_FromFormat(" at %U", path);
    Py_DECREF(path);
    return text;
}

static void raise_at(struct ext_encoder *e, PyObject *what) {
    PyObject *path = what == NULL ? NULL : path_text(e);
    if (path != NULL) {
        PyErr_Format(e->state->uncacheable, "%U%U", what, path);
        Py_DECREF(path);
    }
}

int ext_uncacheable(struct ext_encoder *e, const char *format, ...) {
    va_list args;
    va_start(args, format);
    PyObject *what = PyUnicode_FromFormatV(format, args);
    va_end(args);
    raise_at(e, what);
    Py_XDECREF(what);
    return -1;
}

int ext_encoded(struct ext_encoder *e, int code) {
    switch (code) {
    case SAGGAR_OK:
        return 0;
    case SAGGAR_ELIMIT:
        return ext_uncacheable(e, "value too large or too deep");
    case SAGGAR_EINVAL:
        return ext_uncacheable(e, "value without a canonical encoding");
    default:
        ext_raise(e->state, code, NULL);
        return -1;
    }
}

void ext_add_place(struct ext_encoder *e) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *what = value == NULL ? NULL : PyObject_Str(value);
    if (what == NULL) {
        PyErr_Restore(type, value, trace);
        return;
    }
    raise_at(e, what);
    Py_DECREF(what);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
}

/* ---- levels ---- */

int ext_enter(struct ext_encoder *e, PyObject *object, PyObject *origin) {
    if (e->depth == EXT_MAX_DEPTH) {
        return ext_uncacheable(e, "more than %d levels", EXT_MAX_DEPTH);
    }
    struct ext_level *level = &e->level[e->depth++];
    level->object = Py_XNewRef(object);
    level->origin = Py_XNewRef(origin);
    level->at = NULL;
    level->index = -1;
    return 0;
}

void ext_leave(struct ext_encoder *e) {
    struct ext_level *level = &e->level[--e->depth];
    Py_CLEAR(level->object);
    Py_CLEAR(level->origin);
}

int ext_enclosing(const struct ext_encoder *e, PyObject *object) {
    for (int i = e->depth - 1; i >= 0; i--) {
        if (e->level[i].object == object || e->level[i].origin == object) {
            return i;
        }
    }
    return -1;
}
