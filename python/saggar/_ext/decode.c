/*
 * decode(): from canonical bytes to Python objects. The library checks the bytes before this file walks
 * them; every read is bounded all the same.
 *
 * A reference back leads to a container that is still being filled: lists, sets, dicts and records are made
 * first and filled later, tuples too (with None until then). A frozen set cannot be: bytes that need it are
 * refused.
 */
#include "ext.h"

#include <string.h>

struct decoder {
    ext_state *state;
    const uint8_t *at, *end;
    int depth;
    PyObject *level[EXT_MAX_DEPTH]; /**< borrowed; NULL: cannot be referred to */
};

static PyObject *decode_value(struct decoder *d);

static PyObject *damaged(struct decoder *d) {
    return ext_raise(d->state, SAGGAR_ECORRUPT, NULL);
}

/** The next n bytes, or NULL with an exception. */
static const uint8_t *take(struct decoder *d, uint64_t n) {
    if (n > (uint64_t)(d->end - d->at)) {
        damaged(d);
        return NULL;
    }
    const uint8_t *p = d->at;
    d->at += n;
    return p;
}

/** A little-endian number of `width` bytes into *out. */
static int take_number(struct decoder *d, unsigned width, uint64_t *out) {
    const uint8_t *p = take(d, width);
    *out = 0;
    for (unsigned i = 0; p != NULL && i < width; i++) {
        *out |= (uint64_t)p[i] << (8 * i);
    }
    return p == NULL ? -1 : 0;
}

static int take_double(struct decoder *d, double *out) {
    uint64_t bits;
    if (take_number(d, 8, &bits) < 0) {
        return -1;
    }
    memcpy(out, &bits, sizeof *out);
    return 0;
}

static PyObject *take_bytes(struct decoder *d, unsigned width) {
    uint64_t n;
    const uint8_t *p = take_number(d, width, &n) < 0 ? NULL : take(d, n);
    return p == NULL ? NULL : PyBytes_FromStringAndSize((const char *)p, (Py_ssize_t)n);
}

static PyObject *take_text(struct decoder *d) {
    uint64_t n;
    const uint8_t *p = take_number(d, 4, &n) < 0 ? NULL : take(d, n);
    return p == NULL ? NULL : PyUnicode_DecodeUTF8((const char *)p, (Py_ssize_t)n, "surrogatepass");
}

static PyObject *decode_bigint(struct decoder *d) {
    uint64_t negative;
    PyObject *magnitude = take_number(d, 1, &negative) < 0 ? NULL : take_bytes(d, 4);
    PyObject *value = magnitude == NULL ? NULL
                                        : PyObject_CallMethod((PyObject *)&PyLong_Type, "from_bytes", "Os",
                                                              magnitude, "little");
    Py_XDECREF(magnitude);
    if (value != NULL && negative) {
        PyObject *positive = value;
        value = PyNumber_Negative(positive);
        Py_DECREF(positive);
    }
    return value;
}

/* ---- containers ---- */

/** The number of members, each of which takes a byte at least. */
static int take_count(struct decoder *d, Py_ssize_t *n) {
    uint64_t count;
    if (take_number(d, 4, &count) < 0) {
        return -1;
    }
    if (count > (uint64_t)(d->end - d->at)) {
        damaged(d);
        return -1;
    }
    *n = (Py_ssize_t)count;
    return 0;
}

static int enter(struct decoder *d, PyObject *container) {
    if (d->depth == EXT_MAX_DEPTH) {
        damaged(d);
        return -1;
    }
    d->level[d->depth++] = container;
    return 0;
}

/** Puts members 0 … n-1 in place; `put` steals the member. */
static int fill(struct decoder *d, PyObject *container, Py_ssize_t n,
                int (*put)(PyObject *, Py_ssize_t, PyObject *)) {
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *member = decode_value(d);
        if (member == NULL || put(container, i, member) < 0) {
            return -1;
        }
    }
    return 0;
}

static int put_list(PyObject *list, Py_ssize_t i, PyObject *member) {
    (void)i;
    int err = PyList_Append(list, member);
    Py_DECREF(member);
    return err;
}

static int put_tuple(PyObject *tuple, Py_ssize_t i, PyObject *member) {
    Py_DECREF(PyTuple_GET_ITEM(tuple, i));
    PyTuple_SET_ITEM(tuple, i, member);
    return 0;
}

static int put_set(PyObject *set, Py_ssize_t i, PyObject *member) {
    (void)i;
    int err = PySet_Add(set, member);
    Py_DECREF(member);
    return err;
}

static PyObject *tuple_of_none(Py_ssize_t n) {
    PyObject *tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple != NULL && i < n; i++) {
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(Py_None));
    }
    return tuple;
}

static int fill_dict(struct decoder *d, PyObject *dict, Py_ssize_t n) {
    int err = 0;
    for (Py_ssize_t i = 0; err == 0 && i < n; i++) {
        PyObject *key = decode_value(d);
        PyObject *value = key == NULL ? NULL : decode_value(d);
        err = value == NULL ? -1 : PyDict_SetItem(dict, key, value);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return err;
}

static int fill_record(struct decoder *d, RecordObject *record, Py_ssize_t n) {
    PyObject *fields = tuple_of_none(n);
    if (fields == NULL) {
        return -1;
    }
    Py_SETREF(record->fields, fields);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *name = take_text(d);
        PyObject *value = name == NULL ? NULL : decode_value(d);
        PyObject *field = value == NULL ? NULL : PyTuple_Pack(2, name, value);
        Py_XDECREF(name);
        Py_XDECREF(value);
        if (field == NULL) {
            return -1;
        }
        put_tuple(fields, i, field);
    }
    return 0;
}

static PyObject *new_container(struct decoder *d, saggar_container kind, Py_ssize_t n, PyObject *type) {
    switch (kind) {
    case SAGGAR_LIST:
    case SAGGAR_FROZENSET:
        return PyList_New(0);
    case SAGGAR_TUPLE:
        return tuple_of_none(n);
    case SAGGAR_SET:
        return PySet_New(NULL);
    case SAGGAR_MAP: {
        PyObject *items = PyDict_New();
        return items == NULL ? NULL : ext_map_new(d->state, items);
    }
    case SAGGAR_RECORD: {
        PyObject *fields = PyTuple_New(0);
        return fields == NULL ? NULL : ext_record_new(d->state, Py_NewRef(type), fields);
    }
    default:
        return PyDict_New();
    }
}

static int fill_container(struct decoder *d, saggar_container kind, PyObject *container, Py_ssize_t n) {
    switch (kind) {
    case SAGGAR_LIST:
    case SAGGAR_FROZENSET:
        return fill(d, container, n, put_list);
    case SAGGAR_TUPLE:
        return fill(d, container, n, put_tuple);
    case SAGGAR_SET:
        return fill(d, container, n, put_set);
    case SAGGAR_MAP:
        return fill_dict(d, ((MapObject *)container)->items, n);
    case SAGGAR_RECORD:
        return fill_record(d, (RecordObject *)container, n);
    default:
        return fill_dict(d, container, n);
    }
}

static PyObject *decode_container(struct decoder *d, saggar_container kind) {
    Py_ssize_t n;
    PyObject *type = kind == SAGGAR_RECORD ? take_text(d) : NULL;
    if ((kind == SAGGAR_RECORD && type == NULL) || take_count(d, &n) < 0) {
        Py_XDECREF(type);
        return NULL;
    }
    PyObject *container = new_container(d, kind, n, type);
    Py_XDECREF(type);
    if (container == NULL || enter(d, kind == SAGGAR_FROZENSET ? NULL : container) < 0) {
        Py_XDECREF(container);
        return NULL;
    }
    int err = fill_container(d, kind, container, n);
    d->depth--;
    if (err < 0) {
        Py_DECREF(container);
        return NULL;
    }
    if (kind == SAGGAR_FROZENSET) {
        PyObject *members = container;
        container = PyFrozenSet_New(members);
        Py_DECREF(members);
    }
    return container;
}

static PyObject *decode_back_reference(struct decoder *d) {
    uint64_t k;
    if (take_number(d, 4, &k) < 0) {
        return NULL;
    }
    if (k >= (uint64_t)d->depth) {
        return damaged(d);
    }
    if (d->level[k] == NULL) {
        return ext_raise(d->state, SAGGAR_EUNSUPPORTED, "frozen set that holds itself");
    }
    return Py_NewRef(d->level[k]);
}

/* ---- dtypes, arrays and what is not nested ---- */

/** The dtype's record, or the dtype if NumPy is there. */
static PyObject *decode_dtype(struct decoder *d) {
    PyObject *record = decode_value(d);
    if (record == NULL || ext_numpy() == NULL) {
        return record;
    }
    PyObject *dtype = ext_numpy_dtype(d->state, record);
    Py_DECREF(record);
    return dtype;
}

static PyObject *take_shape(struct decoder *d) {
    uint64_t ndim, extent;
    if (take_number(d, 4, &ndim) < 0) {
        return NULL;
    }
    if (ndim > (uint64_t)(d->end - d->at) / 8) {
        return damaged(d);
    }
    PyObject *shape = tuple_of_none((Py_ssize_t)ndim);
    for (Py_ssize_t i = 0; shape != NULL && i < (Py_ssize_t)ndim; i++) {
        PyObject *number = take_number(d, 8, &extent) < 0 ? NULL : PyLong_FromUnsignedLongLong(extent);
        if (number == NULL) {
            Py_CLEAR(shape);
        } else {
            put_tuple(shape, i, number);
        }
    }
    return shape;
}

static PyObject *stand_in(struct decoder *d, const char *type, PyObject *fields) {
    PyObject *name = PyUnicode_FromString(type);
    return fields == NULL ? (Py_XDECREF(name), NULL) : ext_record_new(d->state, name, fields);
}

static PyObject *decode_array(struct decoder *d) {
    uint64_t order, flags;
    PyObject *dtype = decode_dtype(d), *shape = NULL, *items = NULL, *array = NULL;
    if (dtype != NULL && take_number(d, 1, &order) == 0 && take_number(d, 1, &flags) == 0 &&
        (shape = take_shape(d)) != NULL && (items = take_bytes(d, 8)) != NULL) {
        array = ext_numpy() != NULL
                    ? ext_numpy_array(dtype, shape, (int)order, (int)flags, items)
                    : stand_in(d, "array",
                               Py_BuildValue("((sO)(sK)(sK)(sO)(sO))", "dtype", dtype, "order",
                                             (unsigned long long)order, "flags", (unsigned long long)flags,
                                             "shape", shape, "items", items));
    }
    Py_XDECREF(dtype);
    Py_XDECREF(shape);
    Py_XDECREF(items);
    return array;
}

static PyObject *decode_scalar(struct decoder *d) {
    PyObject *dtype = decode_dtype(d);
    PyObject *item = dtype == NULL ? NULL : take_bytes(d, 4);
    PyObject *scalar = NULL;
    if (item != NULL) {
        scalar = ext_numpy() != NULL
                     ? ext_numpy_scalar(dtype, item)
                     : stand_in(d, "scalar", Py_BuildValue("((sO)(sO))", "dtype", dtype, "item", item));
    }
    Py_XDECREF(dtype);
    Py_XDECREF(item);
    return scalar;
}

static PyObject *decode_digest(struct decoder *d) {
    PyObject *what = take_text(d);
    const uint8_t *sha256 = what == NULL ? NULL : take(d, 32);
    PyObject *bytes = sha256 == NULL ? NULL : PyBytes_FromStringAndSize((const char *)sha256, 32);
    if (bytes == NULL) {
        Py_XDECREF(what);
        return NULL;
    }
    return ext_digest_new(d->state, what, bytes);
}

static PyObject *decode_value(struct decoder *d) {
    uint64_t bits;
    double real, imaginary;
    const uint8_t *tag = take(d, 1);
    if (tag == NULL) {
        return NULL;
    }
    switch (*tag) {
    case 0x00:
        Py_RETURN_NONE;
    case 0x01:
        Py_RETURN_FALSE;
    case 0x02:
        Py_RETURN_TRUE;
    case 0x03:
        return take_number(d, 8, &bits) < 0 ? NULL : PyLong_FromLongLong((long long)bits);
    case 0x04:
        return decode_bigint(d);
    case 0x05:
        return take_double(d, &real) < 0 ? NULL : PyFloat_FromDouble(real);
    case 0x06:
        return take_double(d, &real) < 0 || take_double(d, &imaginary) < 0
                   ? NULL
                   : PyComplex_FromDoubles(real, imaginary);
    case 0x07:
        return take_bytes(d, 4);
    case 0x08:
        return take_text(d);
    case 0x10:
        return decode_dtype(d);
    case 0x11:
        return decode_array(d);
    case 0x12:
        return decode_digest(d);
    case 0x13:
        return decode_back_reference(d);
    case 0x14:
        return decode_scalar(d);
    default:
        return *tag >= SAGGAR_LIST && *tag <= SAGGAR_RECORD ? decode_container(d, (saggar_container)*tag)
                                                            : damaged(d);
    }
}

static PyObject *decode(PyObject *module, PyObject *encoded) {
    Py_buffer view;
    if (PyObject_GetBuffer(encoded, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    struct decoder d = {.state = ext_state_of_module(module), .at = view.buf};
    d.end = d.at + view.len;
    int err = saggar_value_check(view.buf, (size_t)view.len);
    PyObject *value = err == SAGGAR_OK ? decode_value(&d) : ext_raise(d.state, err, NULL);
    PyBuffer_Release(&view);
    return value;
}

PyMethodDef ext_decode_methods[] = {
    {"decode", decode, METH_O, "decode(encoded, /)\n--\n\nThe value that canonical bytes stand for."},
    {NULL, NULL, 0, NULL},
};
