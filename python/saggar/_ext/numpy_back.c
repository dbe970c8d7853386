/*
 * From decoded parts back to NumPy's dtypes, arrays and scalars. What NumPy makes of a record must agree with
 * it, and bytes never become references to objects. Arrays come back contiguous.
 */
#include "ext.h"

/** The value of a field of a decoded record by its place, which FORMAT.md fixes; borrowed. */
static PyObject *field_at(PyObject *record, Py_ssize_t i) {
    PyObject *fields = ((RecordObject *)record)->fields;
    if (i >= PyTuple_GET_SIZE(fields)) {
        PyErr_SetString(PyExc_ValueError, "not the record of a dtype");
        return NULL;
    }
    return PyTuple_GET_ITEM(PyTuple_GET_ITEM(fields, i), 1);
}

/** {'names': …, 'titles': …, 'offsets': …, 'formats': …, 'itemsize': …} of the fields of a structure. */
static PyObject *struct_description(PyObject *fields, PyObject *itemsize) {
    static const char *const columns[] = {"names", "titles", "offsets", "formats"};
    PyObject *description = PyDict_New();
    if (description == NULL || PyDict_SetItemString(description, "itemsize", itemsize) < 0) {
        Py_XDECREF(description);
        return NULL;
    }
    for (Py_ssize_t c = 0; c < 4; c++) {
        PyObject *column = PyList_New(0);
        int err = column == NULL ? -1 : PyDict_SetItemString(description, columns[c], column);
        for (Py_ssize_t i = 0; err == 0 && i < PyTuple_GET_SIZE(fields); i++) {
            PyObject *row = PyTuple_GET_ITEM(fields, i);
            if (!PyTuple_CheckExact(row) || PyTuple_GET_SIZE(row) != 4) {
                PyErr_SetString(PyExc_ValueError, "not the record of a dtype");
                err = -1;
            } else {
                err = PyList_Append(column, PyTuple_GET_ITEM(row, c));
            }
        }
        Py_XDECREF(column);
        if (err < 0) {
            Py_DECREF(description);
            return NULL;
        }
    }
    return description;
}

static PyObject *call_dtype(PyObject *numpy, PyObject *description, PyObject *align, PyObject *metadata) {
    PyObject *function = PyObject_GetAttrString(numpy, "dtype");
    PyObject *args = Py_BuildValue("(O)", description);
    PyObject *names = metadata == Py_None ? Py_BuildValue("{s:O}", "align", align)
                                          : Py_BuildValue("{s:O,s:O}", "align", align, "metadata", metadata);
    PyObject *dtype =
        function == NULL || args == NULL || names == NULL ? NULL : PyObject_Call(function, args, names);
    Py_XDECREF(function);
    Py_XDECREF(args);
    Py_XDECREF(names);
    return dtype;
}

/** NULL with ValueError if NumPy's idea of the dtype is not what the record says. Steals `dtype`. */
static PyObject *agreeing(PyObject *dtype, PyObject *record) {
    static const char *const names[] = {"str", "itemsize", "isalignedstruct"};
    for (Py_ssize_t i = 0; dtype != NULL && i < 3; i++) {
        PyObject *value = PyObject_GetAttrString(dtype, names[i]);
        int same = value == NULL ? -1 : PyObject_RichCompareBool(value, field_at(record, i), Py_EQ);
        Py_XDECREF(value);
        if (same == 0) {
            PyErr_SetString(PyExc_ValueError, "NumPy has no such dtype");
        }
        if (same <= 0) {
            Py_CLEAR(dtype);
        }
    }
    return dtype;
}

PyObject *ext_numpy_dtype(ext_state *state, PyObject *record) {
    PyObject *numpy = ext_numpy();
    if (!Py_IS_TYPE(record, state->record) || numpy == NULL) {
        PyErr_SetString(PyExc_ValueError, "not the record of a dtype");
        return NULL;
    }
    PyObject *fields = field_at(record, 4), *sub = field_at(record, 5);
    if (fields == NULL || sub == NULL) {
        return NULL;
    }
    PyObject *description;
    if (PyTuple_CheckExact(fields)) {
        description = struct_description(fields, field_at(record, 1));
    } else {
        description = Py_NewRef(PyTuple_CheckExact(sub) ? sub : field_at(record, 0));
    }
    if (description == NULL) {
        return NULL;
    }
    PyObject *dtype = call_dtype(numpy, description, field_at(record, 2), field_at(record, 3));
    Py_DECREF(description);
    return agreeing(dtype, record);
}

PyObject *ext_numpy_array(PyObject *dtype, PyObject *shape, int order, int flags, PyObject *items) {
    int objects = ext_true_attribute(dtype, "hasobject");
    if (objects != 0) { // bytes must never be taken for pointers
        if (objects > 0) {
            PyErr_SetString(PyExc_ValueError, "array of objects");
        }
        return NULL;
    }
    PyObject *buffer = PyByteArray_FromObject(items);
    PyObject *array = buffer == NULL ? NULL
                                     : PyObject_CallMethod(ext_numpy(), "ndarray", "OOOiOs", shape, dtype,
                                                           buffer, 0, Py_None, order == 1 ? "F" : "C");
    Py_XDECREF(buffer);
    if (array != NULL && (flags & 1) == 0) {
        PyObject *all = PyObject_GetAttrString(array, "flags");
        if (all == NULL || PyObject_SetAttrString(all, "writeable", Py_False) < 0) {
            Py_CLEAR(array);
        }
        Py_XDECREF(all);
    }
    return array;
}

PyObject *ext_numpy_scalar(PyObject *dtype, PyObject *item) {
    PyObject *shape = PyTuple_New(0);
    PyObject *array = shape == NULL ? NULL : ext_numpy_array(dtype, shape, 0, 1, item);
    PyObject *scalar = array == NULL ? NULL : PyObject_GetItem(array, shape);
    Py_XDECREF(array);
    Py_XDECREF(shape);
    return scalar;
}
