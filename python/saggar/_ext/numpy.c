/*
 * NumPy's dtypes, arrays and scalars, encoded through their Python attributes: nothing of NumPy is compiled
 * in, and it is never imported from here. What its attributes do not tell completely (user-defined dtypes,
 * object arrays, subclasses) is not encodable.
 */
#include "ext.h"

#include <string.h>

PyObject *ext_numpy(void) {
    PyObject *modules = PySys_GetObject("modules");
    return modules == NULL || !PyDict_Check(modules) ? NULL : PyDict_GetItemString(modules, "numpy");
}

/** A type that NumPy exports, or NULL without an exception. */
static PyTypeObject *numpy_type(PyObject *numpy, const char *name) {
    PyObject *type = PyObject_GetAttrString(numpy, name);
    if (type == NULL || !PyType_Check(type)) {
        PyErr_Clear();
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

static int long_attribute(PyObject *object, const char *name, long long *out) {
    PyObject *value = PyObject_GetAttrString(object, name);
    *out = value == NULL ? -1 : PyLong_AsLongLong(value);
    Py_XDECREF(value);
    return *out == -1 && PyErr_Occurred() ? -1 : 0;
}

int ext_true_attribute(PyObject *object, const char *name) {
    PyObject *value = PyObject_GetAttrString(object, name);
    int result = value == NULL ? -1 : PyObject_IsTrue(value);
    Py_XDECREF(value);
    return result;
}

/* ---- dtypes ---- */

/** 1 if str, fields and so on tell everything about the dtype. */
static int dtype_is_plain(PyObject *numpy, PyObject *dtype) {
    long long builtin;
    if (long_attribute(dtype, "isbuiltin", &builtin) < 0) {
        return -1;
    }
    PyObject *kind = PyObject_GetAttrString(dtype, "kind");
    PyObject *type = PyObject_GetAttrString(dtype, "type");
    PyObject *plain = PyObject_GetAttrString(numpy, "void");
    int result = -1;
    if (kind != NULL && type != NULL && plain != NULL && PyUnicode_Check(kind) &&
        PyUnicode_GET_LENGTH(kind) == 1) {
        Py_UCS4 letter = PyUnicode_READ_CHAR(kind, 0);
        result = builtin != 2 && letter < 128 && strchr("biufcmMSUVO", (int)letter) != NULL && letter != 0 &&
                 (letter != 'V' || type == plain);
    }
    Py_XDECREF(kind);
    Py_XDECREF(type);
    Py_XDECREF(plain);
    return result;
}

static int encode_dtype_value(struct ext_encoder *e, PyObject *numpy, PyObject *dtype);

/** One value of the record `dtype`, taken from an attribute or made of it. Steals `value`. */
static int field(struct ext_encoder *e, const char *name, PyObject *value) {
    if (value == NULL) {
        return -1;
    }
    int result = ext_encoded(e, saggar_encode_name(e->out, name));
    if (result == 0) {
        result = ext_encode_value(e, value);
    }
    Py_DECREF(value);
    return result;
}

static PyObject *metadata_of(PyObject *dtype) {
    PyObject *metadata = PyObject_GetAttrString(dtype, "metadata");
    if (metadata == NULL || metadata == Py_None) {
        return metadata;
    }
    PyObject *dict = PyObject_CallOneArg((PyObject *)&PyDict_Type, metadata);
    Py_DECREF(metadata);
    return dict;
}

/** (name, title or none, offset, dtype value) */
static int encode_field(struct ext_encoder *e, PyObject *numpy, PyObject *name, PyObject *row) {
    if (!PyTuple_Check(row) || PyTuple_GET_SIZE(row) < 2) {
        return ext_uncacheable(e, "odd dtype");
    }
    PyObject *title = PyTuple_GET_SIZE(row) > 2 ? PyTuple_GET_ITEM(row, 2) : Py_None;
    if (ext_encoded(e, saggar_encode_begin(e->out, SAGGAR_TUPLE)) < 0 || ext_enter(e, NULL, NULL) < 0) {
        return -1;
    }
    int result = -1;
    if (ext_encode_value(e, name) == 0 && ext_encode_value(e, title) == 0 &&
        ext_encode_value(e, PyTuple_GET_ITEM(row, 1)) == 0 &&
        encode_dtype_value(e, numpy, PyTuple_GET_ITEM(row, 0)) == 0) {
        result = 0;
    }
    ext_leave(e);
    return result < 0 ? -1 : ext_encoded(e, saggar_encode_end(e->out));
}

static int encode_struct_fields(struct ext_encoder *e, PyObject *numpy, PyObject *names, PyObject *fields) {
    if (ext_encoded(e, saggar_encode_begin(e->out, SAGGAR_TUPLE)) < 0 || ext_enter(e, NULL, NULL) < 0) {
        return -1;
    }
    int result = 0;
    for (Py_ssize_t i = 0; result == 0 && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *row = PyObject_GetItem(fields, PyTuple_GET_ITEM(names, i));
        result = row == NULL ? -1 : encode_field(e, numpy, PyTuple_GET_ITEM(names, i), row);
        Py_XDECREF(row);
    }
    ext_leave(e);
    return result < 0 ? -1 : ext_encoded(e, saggar_encode_end(e->out));
}

static int encode_fields(struct ext_encoder *e, PyObject *numpy, PyObject *dtype) {
    if (ext_encoded(e, saggar_encode_name(e->out, "fields")) < 0) {
        return -1;
    }
    PyObject *names = PyObject_GetAttrString(dtype, "names");
    PyObject *fields = PyObject_GetAttrString(dtype, "fields");
    int result = -1;
    if (names != NULL && fields != NULL) {
        result = !PyTuple_Check(names) || fields == Py_None ? ext_encoded(e, saggar_encode_none(e->out))
                                                            : encode_struct_fields(e, numpy, names, fields);
    }
    Py_XDECREF(names);
    Py_XDECREF(fields);
    return result;
}

static int encode_sub(struct ext_encoder *e, PyObject *numpy, PyObject *dtype) {
    if (ext_encoded(e, saggar_encode_name(e->out, "sub")) < 0) {
        return -1;
    }
    PyObject *sub = PyObject_GetAttrString(dtype, "subdtype");
    int result = -1;
    if (sub != NULL && !PyTuple_Check(sub)) {
        result = ext_encoded(e, saggar_encode_none(e->out));
    } else if (sub != NULL && PyTuple_GET_SIZE(sub) == 2 &&
               ext_encoded(e, saggar_encode_begin(e->out, SAGGAR_TUPLE)) == 0 &&
               ext_enter(e, NULL, NULL) == 0) {
        result = encode_dtype_value(e, numpy, PyTuple_GET_ITEM(sub, 0));
        result = result < 0 ? -1 : ext_encode_value(e, PyTuple_GET_ITEM(sub, 1));
        ext_leave(e);
        result = result < 0 ? -1 : ext_encoded(e, saggar_encode_end(e->out));
    }
    Py_XDECREF(sub);
    return result;
}

/** The record of section 2.1, without a tag before it. */
static int encode_dtype_record(struct ext_encoder *e, PyObject *numpy, PyObject *dtype) {
    int plain = dtype_is_plain(numpy, dtype);
    if (plain <= 0) {
        return plain < 0 ? -1 : ext_uncacheable(e, "dtype %.200s", Py_TYPE(dtype)->tp_name);
    }
    if (ext_encoded(e, saggar_encode_record(e->out, "dtype")) < 0 || ext_enter(e, dtype, NULL) < 0) {
        return -1;
    }
    int result = -1;
    if (field(e, "str", PyObject_GetAttrString(dtype, "str")) == 0 &&
        field(e, "itemsize", PyObject_GetAttrString(dtype, "itemsize")) == 0 &&
        field(e, "align", PyObject_GetAttrString(dtype, "isalignedstruct")) == 0 &&
        field(e, "metadata", metadata_of(dtype)) == 0 && encode_fields(e, numpy, dtype) == 0 &&
        encode_sub(e, numpy, dtype) == 0) {
        result = 0;
    }
    ext_leave(e);
    return result < 0 ? -1 : ext_encoded(e, saggar_encode_end(e->out));
}

static int encode_dtype_value(struct ext_encoder *e, PyObject *numpy, PyObject *dtype) {
    return ext_encoded(e, saggar_encode_dtype(e->out)) < 0 ? -1 : encode_dtype_record(e, numpy, dtype);
}

/* ---- bytes of an item that belong to no field ---- */

#define MAX_NESTED 16

static int mark(PyObject *dtype, char *used, long long size, int depth);

/** Marks each of the items that a dtype of the kind (base, shape) consists of. */
static int mark_sub(PyObject *sub, char *used, long long size, int depth) {
    long long one = 0;
    PyObject *base = PyTuple_GetItem(sub, 0);
    if (base == NULL || long_attribute(base, "itemsize", &one) < 0) {
        return -1;
    }
    for (long long at = 0; one > 0 && at + one <= size; at += one) {
        if (mark(base, used + at, one, depth) < 0) {
            return -1;
        }
    }
    return 0;
}

static int mark_field(PyObject *row, char *used, long long size, int depth) {
    PyObject *type = PyTuple_GetItem(row, 0), *place = PyTuple_GetItem(row, 1);
    long long offset = place == NULL ? -1 : PyLong_AsLongLong(place), one = -1;
    if (type == NULL || PyErr_Occurred() || long_attribute(type, "itemsize", &one) < 0) {
        return -1;
    }
    if (offset < 0 || one < 0 || offset > size || one > size - offset) {
        PyErr_SetString(PyExc_ValueError, "odd dtype");
        return -1;
    }
    return mark(type, used + offset, one, depth);
}

static int mark_fields(PyObject *names, PyObject *fields, char *used, long long size, int depth) {
    int result = 0;
    for (Py_ssize_t i = 0; result == 0 && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *row = PyObject_GetItem(fields, PyTuple_GET_ITEM(names, i));
        result = row == NULL ? -1 : mark_field(row, used, size, depth);
        Py_XDECREF(row);
    }
    return result;
}

/** Sets `used` where the bytes of an item belong to something. */
static int mark(PyObject *dtype, char *used, long long size, int depth) {
    PyObject *sub = PyObject_GetAttrString(dtype, "subdtype");
    PyObject *names = PyObject_GetAttrString(dtype, "names");
    PyObject *fields = PyObject_GetAttrString(dtype, "fields");
    int result = -1;
    if (sub == NULL || names == NULL || fields == NULL) {
        ;
    } else if (depth > MAX_NESTED) {
        PyErr_SetString(PyExc_ValueError, "dtype nested too deeply");
    } else if (PyTuple_Check(sub)) {
        result = mark_sub(sub, used, size, depth + 1);
    } else if (PyTuple_Check(names) && fields != Py_None) {
        result = mark_fields(names, fields, used, size, depth + 1);
    } else {
        memset(used, 1, (size_t)size);
        result = 0;
    }
    Py_XDECREF(sub);
    Py_XDECREF(names);
    Py_XDECREF(fields);
    return result;
}

static PyObject *without_gaps(PyObject *items, const char *used, long long size) {
    PyObject *clean = PyBytes_FromStringAndSize(PyBytes_AS_STRING(items), PyBytes_GET_SIZE(items));
    char *bytes = clean == NULL ? NULL : PyBytes_AS_STRING(clean);
    for (Py_ssize_t i = 0; bytes != NULL && i < PyBytes_GET_SIZE(clean); i++) {
        bytes[i] = used[i % size] ? bytes[i] : 0;
    }
    return clean;
}

/** The items with zeros where nothing is: what lies there is of no value, and differs from run to run. Steals
 * `items`. */
static PyObject *clean_items(PyObject *dtype, PyObject *items) {
    long long size = 0;
    PyObject *names = items == NULL ? NULL : PyObject_GetAttrString(dtype, "names");
    PyObject *result = items;
    if (names == NULL || !PyBytes_Check(items) || PyBytes_GET_SIZE(items) < 2 || !PyTuple_Check(names)) {
        Py_XDECREF(names);
        if (PyErr_Occurred()) {
            Py_CLEAR(result);
        }
        return result;
    }
    Py_DECREF(names);
    char *used =
        long_attribute(dtype, "itemsize", &size) < 0 || size <= 0 ? NULL : PyMem_Calloc(1, (size_t)size);
    if (used == NULL || mark(dtype, used, size, 0) < 0) {
        result = PyErr_Occurred() ? NULL : PyErr_NoMemory();
        Py_DECREF(items);
    } else if (memchr(used, 0, (size_t)size) != NULL) {
        result = without_gaps(items, used, size);
        Py_DECREF(items);
    }
    PyMem_Free(used);
    return result;
}

/* ---- arrays and scalars ---- */

#define MAX_NDIM 64
#define MAX_ITEMS (16 << 20)

static int shape_of(struct ext_encoder *e, PyObject *array, uint64_t extents[MAX_NDIM], uint32_t *ndim) {
    PyObject *shape = PyObject_GetAttrString(array, "shape");
    if (shape == NULL || !PyTuple_Check(shape) || PyTuple_GET_SIZE(shape) > MAX_NDIM) {
        Py_XDECREF(shape);
        return PyErr_Occurred() ? -1 : ext_uncacheable(e, "odd array");
    }
    *ndim = (uint32_t)PyTuple_GET_SIZE(shape);
    for (uint32_t i = 0; i < *ndim; i++) {
        extents[i] = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(shape, i));
    }
    Py_DECREF(shape);
    return PyErr_Occurred() ? -1 : 0;
}

/** order as in section 2.2 and flags, or -1. */
static int layout_of(PyObject *array, uint8_t *order, uint8_t *flags) {
    PyObject *all = PyObject_GetAttrString(array, "flags");
    int c = all == NULL ? -1 : ext_true_attribute(all, "c_contiguous");
    int f = c < 0 ? -1 : ext_true_attribute(all, "f_contiguous");
    int writeable = f < 0 ? -1 : ext_true_attribute(all, "writeable");
    int aligned = writeable < 0 ? -1 : ext_true_attribute(all, "aligned");
    Py_XDECREF(all);
    if (aligned < 0) {
        return -1;
    }
    *order = c ? 0 : f ? 1 : 2;
    *flags = (uint8_t)(writeable | aligned << 1);
    return 0;
}

static int encode_array_of(struct ext_encoder *e, PyObject *numpy, PyObject *array, PyObject *dtype) {
    uint64_t extents[MAX_NDIM];
    uint32_t ndim = 0;
    uint8_t order = 0, flags = 0;
    long long size;
    int objects = ext_true_attribute(dtype, "hasobject");
    if (objects != 0) {
        return objects < 0 ? -1 : ext_uncacheable(e, "array of objects");
    }
    if (long_attribute(array, "nbytes", &size) < 0 || shape_of(e, array, extents, &ndim) < 0 ||
        layout_of(array, &order, &flags) < 0) {
        return -1;
    }
    if (size > MAX_ITEMS) {
        return ext_uncacheable(e, "array of %lld bytes", size);
    }
    if (ext_encoded(e, saggar_encode_array(e->out)) < 0 || encode_dtype_record(e, numpy, dtype) < 0) {
        return -1;
    }
    PyObject *items = clean_items(dtype, PyObject_CallMethod(array, "tobytes", "s", order == 1 ? "F" : "C"));
    if (items == NULL || !PyBytes_Check(items)) {
        Py_XDECREF(items);
        return PyErr_Occurred() ? -1 : ext_uncacheable(e, "odd array");
    }
    int result =
        ext_encoded(e, saggar_encode_array_data(e->out, order, flags, extents, ndim, PyBytes_AS_STRING(items),
                                                (size_t)PyBytes_GET_SIZE(items)));
    Py_DECREF(items);
    return result;
}

static int encode_array(struct ext_encoder *e, PyObject *numpy, PyObject *array) {
    PyObject *dtype = PyObject_GetAttrString(array, "dtype");
    int result = dtype == NULL ? -1 : encode_array_of(e, numpy, array, dtype);
    Py_XDECREF(dtype);
    return result < 0 ? -1 : 1;
}

/** 0 for a subclass of a scalar type: it may mean something else. */
static int encode_scalar(struct ext_encoder *e, PyObject *numpy, PyObject *scalar) {
    PyObject *dtype = PyObject_GetAttrString(scalar, "dtype");
    PyObject *type = dtype == NULL ? NULL : PyObject_GetAttrString(dtype, "type");
    int result = type == NULL ? -1 : type == (PyObject *)Py_TYPE(scalar);
    int objects = result > 0 ? ext_true_attribute(dtype, "hasobject") : 0;
    if (objects != 0) {
        result = objects < 0 ? -1 : ext_uncacheable(e, "scalar of objects");
    }
    PyObject *items = result > 0 ? clean_items(dtype, PyObject_CallMethod(scalar, "tobytes", NULL)) : NULL;
    if (result > 0) {
        result =
            items == NULL || !PyBytes_Check(items) ||
                    ext_encoded(e, saggar_encode_array_scalar(e->out)) < 0 ||
                    encode_dtype_record(e, numpy, dtype) < 0 ||
                    ext_encoded(e, saggar_encode_array_data(e->out, 0, 0, NULL, 0, PyBytes_AS_STRING(items),
                                                            (size_t)PyBytes_GET_SIZE(items))) < 0
                ? -1
                : 1;
    }
    Py_XDECREF(items);
    Py_XDECREF(type);
    Py_XDECREF(dtype);
    return result;
}

int ext_encode_numpy(struct ext_encoder *e, PyObject *value) {
    PyObject *numpy = ext_numpy();
    if (numpy == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    Py_INCREF(numpy);
    PyTypeObject *array = numpy_type(numpy, "ndarray");
    PyTypeObject *dtype = numpy_type(numpy, "dtype");
    PyTypeObject *scalar = numpy_type(numpy, "generic");
    int result = 0;
    if (array != NULL && Py_IS_TYPE(value, array)) {
        result = encode_array(e, numpy, value);
    } else if (dtype != NULL && PyObject_TypeCheck(value, dtype)) {
        result = encode_dtype_value(e, numpy, value) < 0 ? -1 : 1;
    } else if (scalar != NULL && PyObject_TypeCheck(value, scalar)) {
        result = encode_scalar(e, numpy, value);
    }
    Py_XDECREF(array);
    Py_XDECREF(dtype);
    Py_XDECREF(scalar);
    Py_DECREF(numpy);
    return result;
}
