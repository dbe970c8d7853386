/*
 * encode(): from Python objects to canonical bytes. Exact types only, since a subclass may mean something
 * else. The way from the outermost container to the value at hand is kept as levels: they find cycles and
 * name the place in messages. What a `default` callback returns stands for the object: a reference back to
 * the object leads to it.
 *
 * The encoder of the library does the work; this file walks. It holds a reference to everything that it
 * stands on, because a callback may change any container meanwhile.
 */
#include "ext.h"

#include <string.h>

/* ---- scalars ---- */

static int encode_int(struct ext_encoder *e, PyObject *value) {
    int overflow;
    long long small = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0) {
        return small == -1 && PyErr_Occurred() ? -1 : ext_encoded(e, saggar_encode_int(e->out, small));
    }
    PyObject *magnitude = PyNumber_Absolute(value);
    PyObject *bits = magnitude == NULL ? NULL : PyObject_CallMethod(magnitude, "bit_length", NULL);
    size_t size = bits == NULL ? 0 : (PyLong_AsSize_t(bits) + 7) / 8;
    PyObject *bytes =
        bits == NULL ? NULL : PyObject_CallMethod(magnitude, "to_bytes", "ns", (Py_ssize_t)size, "little");
    int result = -1;
    if (bytes != NULL) {
        result = ext_encoded(
            e, saggar_encode_bigint(e->out, overflow < 0, (const uint8_t *)PyBytes_AS_STRING(bytes), size));
    }
    Py_XDECREF(magnitude);
    Py_XDECREF(bits);
    Py_XDECREF(bytes);
    return result;
}

int ext_encode_text(struct ext_encoder *e, PyObject *text) {
    Py_ssize_t size;
    const char *utf8 = PyUnicode_AsUTF8AndSize(text, &size);
    if (utf8 != NULL) {
        return ext_encoded(e, saggar_encode_text(e->out, utf8, (size_t)size));
    }
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        return -1;
    }
    PyErr_Clear();
    PyObject *bytes = PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass");
    if (bytes == NULL) {
        return -1;
    }
    int result =
        ext_encoded(e, saggar_encode_text(e->out, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)));
    Py_DECREF(bytes);
    return result;
}

/* ---- containers ---- */

static int changed(struct ext_encoder *e) {
    return ext_uncacheable(e, "container that changes while it is encoded");
}

static int encode_held(struct ext_encoder *e, PyObject *value) {
    Py_INCREF(value);
    int result = ext_encode_value(e, value);
    Py_DECREF(value);
    return result;
}

static int encode_sequence(struct ext_encoder *e, PyObject *sequence) {
    Py_ssize_t n = PySequence_Fast_GET_SIZE(sequence);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (PySequence_Fast_GET_SIZE(sequence) != n) {
            return changed(e);
        }
        e->level[e->depth - 1].index = i;
        if (encode_held(e, PySequence_Fast_GET_ITEM(sequence, i)) < 0) {
            return -1;
        }
    }
    return PySequence_Fast_GET_SIZE(sequence) == n ? 0 : changed(e);
}

/** The members of a set, in the order in which `default` is asked about them. */
static PyObject *iterate_set(struct ext_encoder *e, PyObject *set) {
    if (e->order == NULL) {
        return PyObject_GetIter(set);
    }
    PyObject *ordered = PyObject_CallOneArg(e->order, set);
    if (ordered == NULL) {
        if (PyErr_ExceptionMatches(e->state->uncacheable)) {
            ext_add_place(e);
        }
        return NULL;
    }
    PyObject *each = PyObject_GetIter(ordered);
    Py_DECREF(ordered);
    return each;
}

static int encode_set(struct ext_encoder *e, PyObject *set) {
    PyObject *each = iterate_set(e, set), *member;
    if (each == NULL) {
        return -1;
    }
    int result = 0;
    while (result == 0 && (member = PyIter_Next(each)) != NULL) {
        result = ext_encode_value(e, member);
        Py_DECREF(member);
    }
    Py_DECREF(each);
    if (result == 0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_RuntimeError)) {
            PyErr_Clear();
            changed(e);
        }
        result = -1;
    }
    return result;
}

static int encode_dict(struct ext_encoder *e, PyObject *dict) {
    PyObject *key, *value;
    Py_ssize_t next = 0, n = PyDict_GET_SIZE(dict), i = 0;
    struct ext_level *level = &e->level[e->depth - 1];
    for (; PyDict_Next(dict, &next, &key, &value); i++) {
        Py_INCREF(key);
        Py_INCREF(value);
        level->index = i;
        int result = ext_encode_value(e, key);
        if (result == 0) {
            level->at = key;
            result = ext_encode_value(e, value);
        }
        level->at = NULL;
        Py_DECREF(key);
        Py_DECREF(value);
        if (result < 0) {
            return -1;
        }
    }
    return i == n ? 0 : changed(e);
}

static int encode_fields(struct ext_encoder *e, RecordObject *record) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(record->fields); i++) {
        PyObject *field = PyTuple_GET_ITEM(record->fields, i);
        PyObject *name = PyTuple_GET_ITEM(field, 0);
        const char *text = ext_text(name, "a field's name");
        if (text == NULL || ext_encoded(e, saggar_encode_name(e->out, text)) < 0) {
            return -1;
        }
        e->level[e->depth - 1].at = name;
        if (ext_encode_value(e, PyTuple_GET_ITEM(field, 1)) < 0) {
            return -1;
        }
        e->level[e->depth - 1].at = NULL;
    }
    return 0;
}

static int begin_record(struct ext_encoder *e, RecordObject *record) {
    const char *type = ext_text(record->type, "a record's type");
    return type == NULL ? -1 : ext_encoded(e, saggar_encode_record(e->out, type));
}

/** The members of a container whose level is open. */
static int encode_members(struct ext_encoder *e, saggar_container kind, PyObject *value) {
    switch (kind) {
    case SAGGAR_LIST:
    case SAGGAR_TUPLE:
        return encode_sequence(e, value);
    case SAGGAR_SET:
    case SAGGAR_FROZENSET:
        return encode_set(e, value);
    case SAGGAR_MAP:
        return encode_dict(e, ((MapObject *)value)->items);
    case SAGGAR_ORDERED_MAP:
        return encode_dict(e, value);
    default:
        return encode_fields(e, (RecordObject *)value);
    }
}

static int encode_container(struct ext_encoder *e, saggar_container kind, PyObject *value, PyObject *origin) {
    int level = ext_enclosing(e, value);
    if (level >= 0) {
        return ext_encoded(e, saggar_encode_back_reference(e->out, (uint32_t)level));
    }
    int begun = kind == SAGGAR_RECORD ? begin_record(e, (RecordObject *)value)
                                      : ext_encoded(e, saggar_encode_begin(e->out, kind));
    if (begun < 0 || ext_enter(e, value, origin) < 0) {
        return -1;
    }
    int result = encode_members(e, kind, value);
    ext_leave(e);
    return result < 0 ? -1 : ext_encoded(e, saggar_encode_end(e->out));
}

/* ---- any value ---- */

static saggar_container container_kind(const ext_state *state, PyTypeObject *type) {
    if (type == &PyTuple_Type) {
        return SAGGAR_TUPLE;
    }
    if (type == &PyDict_Type) {
        return SAGGAR_ORDERED_MAP;
    }
    if (type == state->record) {
        return SAGGAR_RECORD;
    }
    if (type == &PyList_Type) {
        return SAGGAR_LIST;
    }
    if (type == state->map) {
        return SAGGAR_MAP;
    }
    if (type == &PySet_Type) {
        return SAGGAR_SET;
    }
    return type == &PyFrozenSet_Type ? SAGGAR_FROZENSET : (saggar_container)0;
}

static int encode_digest(struct ext_encoder *e, DigestObject *digest) {
    const char *what = ext_text(digest->what, "what a digest stands for");
    return what == NULL ? -1
                        : ext_encoded(e, saggar_encode_digest(e->out, what,
                                                              (uint8_t *)PyBytes_AS_STRING(digest->sha256)));
}

static int encode_bytes(struct ext_encoder *e, PyObject *bytes,
                        int (*encode)(saggar_encoder *, const void *, size_t)) {
    return ext_encoded(e, encode(e->out, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)));
}

/** Everything but what only `default` knows: 1 encoded, 0 not known, -1 raised. */
static int encode_known(struct ext_encoder *e, PyObject *value, PyObject *origin) {
    PyTypeObject *type = Py_TYPE(value);
    saggar_container kind;
    int result;
    if (value == Py_None) {
        result = ext_encoded(e, saggar_encode_none(e->out));
    } else if (type == &PyUnicode_Type) {
        result = ext_encode_text(e, value);
    } else if (type == &PyLong_Type) {
        result = encode_int(e, value);
    } else if (type == &PyBytes_Type) {
        result = encode_bytes(e, value, saggar_encode_bytes);
    } else if (type == &PyBool_Type) {
        result = ext_encoded(e, saggar_encode_bool(e->out, value == Py_True));
    } else if (type == &PyFloat_Type) {
        result = ext_encoded(e, saggar_encode_float(e->out, PyFloat_AS_DOUBLE(value)));
    } else if (type == &PyComplex_Type) {
        Py_complex c = PyComplex_AsCComplex(value);
        result = ext_encoded(e, saggar_encode_complex(e->out, c.real, c.imag));
    } else if ((kind = container_kind(e->state, type)) != 0) {
        result = encode_container(e, kind, value, origin);
    } else if (type == e->state->digest) {
        result = encode_digest(e, (DigestObject *)value);
    } else if (type == e->state->raw) {
        result = encode_bytes(e, ((RawObject *)value)->encoded, saggar_encode_raw);
    } else {
        return ext_encode_numpy(e, value);
    }
    return result < 0 ? -1 : 1;
}

static int type_unknown(struct ext_encoder *e, PyObject *value) {
    PyObject *module = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__module__");
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__qualname__");
    if (module == NULL || name == NULL || !PyUnicode_Check(module)) {
        PyErr_Clear();
        ext_uncacheable(e, "type %.200s", Py_TYPE(value)->tp_name);
    } else {
        ext_uncacheable(e, "type %U.%S", module, name);
    }
    Py_XDECREF(module);
    Py_XDECREF(name);
    return -1;
}

int ext_encode_value(struct ext_encoder *e, PyObject *value) {
    int known = encode_known(e, value, NULL);
    if (known != 0) {
        return known < 0 ? -1 : 0;
    }
    int level = ext_enclosing(e, value);
    if (level >= 0) {
        return ext_encoded(e, saggar_encode_back_reference(e->out, (uint32_t)level));
    }
    if (e->callback == NULL) {
        return type_unknown(e, value);
    }
    PyObject *stand_in = PyObject_CallOneArg(e->callback, value);
    if (stand_in == NULL) {
        if (PyErr_ExceptionMatches(e->state->uncacheable) && e->depth > 0) {
            ext_add_place(e);
        }
        return -1;
    }
    known = encode_known(e, stand_in, value);
    Py_DECREF(stand_in);
    return known == 0 ? type_unknown(e, value) : known < 0 ? -1 : 0;
}

static PyObject *encode_all(struct ext_encoder *e, PyObject *value) {
    const uint8_t *bytes;
    size_t size;
    if (encode_held(e, value) < 0 || ext_encoded(e, saggar_encoder_bytes(e->out, &bytes, &size)) < 0) {
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)size);
}

static PyObject *encode(PyObject *module, PyObject *args, PyObject *names) {
    static char *keywords[] = {"value", "default", "order", NULL};
    PyObject *value, *callback = Py_None, *order = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, names, "O|OO:encode", keywords, &value, &callback, &order)) {
        return NULL;
    }
    struct ext_encoder *e = PyMem_Malloc(sizeof *e);
    if (e == NULL) {
        return PyErr_NoMemory();
    }
    e->state = ext_state_of_module(module);
    e->callback = callback == Py_None ? NULL : callback;
    e->order = order == Py_None ? NULL : order;
    e->depth = 0;
    int err = saggar_encoder_new(&e->out);
    PyObject *result = NULL;
    if (err != SAGGAR_OK) {
        ext_raise(e->state, err, NULL);
    } else {
        result = encode_all(e, value);
        saggar_encoder_free(e->out);
    }
    PyMem_Free(e);
    return result;
}

PyMethodDef ext_encode_methods[] = {
    {"encode", (PyCFunction)(void (*)(void))encode, METH_VARARGS | METH_KEYWORDS,
     "encode(value, default=None, order=None)\n--\n\n"
     "The canonical encoding. `default` is asked about objects of other types and returns what stands for "
     "them; about a set's members in the order in which `order` gives them."},
    {NULL, NULL, 0, NULL},
};
