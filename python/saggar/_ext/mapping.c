/*
 * Mapping: a saggar_mapping over a Cache's stack, which it holds by itself. Every call runs without the
 * interpreter's lock, since each may read or write files.
 */
#include "ext.h"

typedef struct {
    PyObject_HEAD saggar_mapping *mapping;
} MappingObject;

static ext_state *state_of(PyObject *self) {
    return ext_state_of_type(Py_TYPE(self));
}

static saggar_mapping *mapping_of(PyObject *self) {
    return ((MappingObject *)self)->mapping;
}

static PyObject *mapping_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    static char *keywords[] = {"cache", "name", NULL};
    ext_state *state = ext_state_of_type(type);
    PyObject *cache;
    const char *name;
    if (!PyArg_ParseTupleAndKeywords(args, names, "O!s:Mapping", keywords, state->cache, &cache, &name)) {
        return NULL;
    }
    saggar_cache *borrowed = ext_cache_borrow((CacheObject *)cache);
    MappingObject *self = borrowed == NULL ? NULL : (MappingObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        int err = saggar_mapping_new(borrowed, name, &self->mapping);
        if (err != SAGGAR_OK) {
            self->mapping = NULL;
            Py_CLEAR(self);
            ext_raise(state, err, "cannot make the mapping");
        }
    }
    if (borrowed != NULL) {
        ext_cache_return((CacheObject *)cache);
    }
    return (PyObject *)self;
}

static void mapping_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    saggar_mapping_free(mapping_of(self));
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *mapping_get(PyObject *self, PyObject *key) {
    Py_buffer view;
    saggar_view value;
    int err;
    if (PyObject_GetBuffer(key, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    err = saggar_mapping_get(mapping_of(self), view.buf, (size_t)view.len, &value);
    Py_END_ALLOW_THREADS;
    PyBuffer_Release(&view);
    if (err == SAGGAR_ENOTFOUND) {
        Py_RETURN_NONE;
    }
    return err == SAGGAR_OK ? ext_lend(state_of(self), value, NULL) : ext_raise(state_of(self), err, "get");
}

static int contains(PyObject *self, PyObject *key) {
    Py_buffer view;
    bool found;
    if (PyObject_GetBuffer(key, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    Py_BEGIN_ALLOW_THREADS;
    found = saggar_mapping_contains(mapping_of(self), view.buf, (size_t)view.len);
    Py_END_ALLOW_THREADS;
    PyBuffer_Release(&view);
    return found;
}

static PyObject *mapping_put(PyObject *self, PyObject *args) {
    Py_buffer key, value;
    int err;
    if (!PyArg_ParseTuple(args, "y*y*:put", &key, &value)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    err = saggar_mapping_put(mapping_of(self), key.buf, (size_t)key.len, value.buf, (size_t)value.len);
    Py_END_ALLOW_THREADS;
    PyBuffer_Release(&key);
    PyBuffer_Release(&value);
    if (err == SAGGAR_EEXISTS) {
        Py_RETURN_FALSE;
    }
    return err == SAGGAR_OK ? Py_NewRef(Py_True) : ext_raise(state_of(self), err, "put");
}

static PyObject *mapping_delete(PyObject *self, PyObject *key) {
    Py_buffer view;
    int err;
    if (PyObject_GetBuffer(key, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    err = saggar_mapping_delete(mapping_of(self), view.buf, (size_t)view.len);
    Py_END_ALLOW_THREADS;
    PyBuffer_Release(&view);
    if (err == SAGGAR_ENOTFOUND) {
        Py_RETURN_FALSE;
    }
    return err == SAGGAR_OK ? Py_NewRef(Py_True) : ext_raise(state_of(self), err, "delete");
}

struct gathering {
    PyObject *list;
    PyThreadState *thread;
};

/** 0, or -1 with a Python exception. */
static int gather(void *context, const void *key, size_t size) {
    struct gathering *g = context;
    PyEval_RestoreThread(g->thread);
    PyObject *bytes = PyBytes_FromStringAndSize(key, (Py_ssize_t)size);
    int result = bytes == NULL ? -1 : PyList_Append(g->list, bytes);
    Py_XDECREF(bytes);
    g->thread = PyEval_SaveThread();
    return result;
}

static PyObject *mapping_keys(PyObject *self, PyObject *unused) {
    (void)unused;
    struct gathering g = {PyList_New(0), NULL};
    if (g.list == NULL) {
        return NULL;
    }
    g.thread = PyEval_SaveThread();
    int err = saggar_mapping_each(mapping_of(self), gather, &g);
    PyEval_RestoreThread(g.thread);
    if (err == SAGGAR_OK) {
        return g.list;
    }
    Py_DECREF(g.list);
    return PyErr_Occurred() ? NULL : ext_raise(state_of(self), err, "keys");
}

static Py_ssize_t length(PyObject *self) {
    uint64_t n = 0;
    int err;
    Py_BEGIN_ALLOW_THREADS;
    err = saggar_mapping_length(mapping_of(self), &n);
    Py_END_ALLOW_THREADS;
    if (err != SAGGAR_OK) {
        ext_raise(state_of(self), err, "length");
        return -1;
    }
    return (Py_ssize_t)n;
}

static PyObject *mapping_key(PyObject *self, PyObject *key) {
    Py_buffer view;
    uint8_t digest[SAGGAR_KEY_SIZE];
    if (PyObject_GetBuffer(key, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    int err = saggar_mapping_key(mapping_of(self), view.buf, (size_t)view.len, digest);
    PyBuffer_Release(&view);
    return err == SAGGAR_OK ? PyBytes_FromStringAndSize((const char *)digest, sizeof digest)
                            : ext_raise(state_of(self), err, "key");
}

static PyMethodDef mapping_methods[] = {
    {"get", mapping_get, METH_O, "get(key, /)\n--\n\nThe value's verified bytes, or None."},
    {"put", mapping_put, METH_VARARGS,
     "put(key, value, /)\n--\n\nTrue if the value is there now, False if another one is."},
    {"delete", mapping_delete, METH_O, "delete(key, /)\n--\n\nTrue if it was there."},
    {"keys", mapping_keys, METH_NOARGS, "keys()\n--\n\nA list of all keys; reads every entry."},
    {"key", mapping_key, METH_O, "key(key, /)\n--\n\nThe cache's key that a key has: for Cache.claim()."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot mapping_slots[] = {
    {Py_tp_doc,
     "Mapping(cache, name)\n--\n\nKeys and values of any bytes, written once, as entries of a cache."},
    {Py_tp_new, mapping_new},
    {Py_tp_dealloc, mapping_dealloc},
    {Py_tp_methods, mapping_methods},
    {Py_sq_contains, contains},
    {Py_sq_length, length},
    {0, NULL},
};

static PyType_Spec mapping_spec = {
    .name = "saggar._saggar.Mapping",
    .basicsize = sizeof(MappingObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = mapping_slots,
};

int ext_mapping_add(PyObject *module, ext_state *state) {
    state->mapping = (PyTypeObject *)PyType_FromModuleAndSpec(module, &mapping_spec, NULL);
    return state->mapping == NULL ? -1 : PyModule_AddType(module, state->mapping);
}
