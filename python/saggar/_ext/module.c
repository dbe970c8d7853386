/*
 * The module saggar._saggar: its state, its exceptions and what its files share. Nothing is static but
 * constants; the module may be loaded by several interpreters.
 */
#include "ext.h"

#include "base/hash.h"

#include <string.h>

PyObject *ext_raise(ext_state *state, int code, const char *what) {
    if (code == SAGGAR_ENOMEM) {
        return PyErr_NoMemory();
    }
    PyObject *message = what == NULL ? PyUnicode_FromString(saggar_strerror(code))
                                     : PyUnicode_FromFormat("%s: %s", what, saggar_strerror(code));
    if (message == NULL) {
        return NULL;
    }
    PyObject *error = PyObject_CallFunction(state->error, "iN", code, message);
    if (error != NULL) {
        PyErr_SetObject(state->error, error);
        Py_DECREF(error);
    }
    return NULL;
}

const char *ext_text(PyObject *object, const char *what) {
    if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be str, not %.100s", what, Py_TYPE(object)->tp_name);
        return NULL;
    }
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(object, &size);
    if (text != NULL && strlen(text) != (size_t)size) {
        PyErr_Format(PyExc_ValueError, "%s holds a zero byte", what);
        return NULL;
    }
    return text;
}

const uint8_t *ext_digest(PyObject *object, const char *what) {
    if (!PyBytes_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be bytes, not %.100s", what, Py_TYPE(object)->tp_name);
        return NULL;
    }
    if (PyBytes_GET_SIZE(object) != 32) {
        PyErr_Format(PyExc_ValueError, "%s must be 32 bytes long", what);
        return NULL;
    }
    return (const uint8_t *)PyBytes_AS_STRING(object);
}

/* ---- SaggarError(code, message) ---- */

static int error_init(PyObject *self, PyObject *args, PyObject *names) {
    int code;
    PyObject *message = NULL;
    static char *keywords[] = {"code", "message", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, names, "i|O:SaggarError", keywords, &code, &message)) {
        return -1;
    }
    PyObject *number = PyLong_FromLong(code);
    PyObject *name = PyUnicode_FromString(saggar_errname(code));
    PyObject *text = message == NULL ? PyUnicode_FromString(saggar_strerror(code)) : Py_NewRef(message);
    int result = -1;
    if (number != NULL && name != NULL && text != NULL && PyObject_SetAttrString(self, "code", number) == 0 &&
        PyObject_SetAttrString(self, "name", name) == 0 &&
        PyObject_SetAttrString(self, "message", text) == 0) {
        result = 0;
    }
    Py_XDECREF(number);
    Py_XDECREF(name);
    Py_XDECREF(text);
    return result;
}

static PyObject *error_str(PyObject *self) {
    PyObject *message = PyObject_GetAttrString(self, "message");
    if (message == NULL) {
        return NULL;
    }
    PyObject *text = PyObject_Str(message);
    Py_DECREF(message);
    return text;
}

static PyType_Slot error_slots[] = {
    {Py_tp_doc, "libsaggar could not do what it was asked for: code, name and message."},
    {Py_tp_init, error_init},
    {Py_tp_str, error_str},
    {0, NULL},
};

static PyType_Spec error_spec = {
    .name = "saggar._saggar.SaggarError",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = error_slots,
};

/* ---- module functions that belong to no other file ---- */

static PyObject *version(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyUnicode_FromString(saggar_version());
}

static PyObject *sha256(PyObject *module, PyObject *data) {
    Py_buffer view;
    unsigned char digest[SG_SHA256_SIZE];
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    int err;
    if (view.len > 65536) {
        Py_BEGIN_ALLOW_THREADS;
        err = sg_sha256(digest, view.buf, (size_t)view.len);
        Py_END_ALLOW_THREADS;
    } else {
        err = sg_sha256(digest, view.buf, (size_t)view.len);
    }
    PyBuffer_Release(&view);
    if (err != SAGGAR_OK) {
        return ext_raise(ext_state_of_module(module), err, NULL);
    }
    return PyBytes_FromStringAndSize((const char *)digest, sizeof digest);
}

static PyObject *show(PyObject *module, PyObject *args, PyObject *names) {
    static char *keywords[] = {"encoded", "limit", NULL};
    Py_buffer view;
    Py_ssize_t limit = 200;
    if (!PyArg_ParseTupleAndKeywords(args, names, "y*|n:show", keywords, &view, &limit)) {
        return NULL;
    }
    char *text;
    int err = saggar_value_print(view.buf, (size_t)view.len, limit < 0 ? 0 : (size_t)limit, &text);
    PyBuffer_Release(&view);
    if (err != SAGGAR_OK) {
        return ext_raise(ext_state_of_module(module), err, NULL);
    }
    PyObject *result = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    free(text);
    return result;
}

static PyMethodDef methods[] = {
    {"version", version, METH_NOARGS, "version()\n--\n\nThe version of the library, e.g. '0.1.0'."},
    {"show", (PyCFunction)(void (*)(void))show, METH_VARARGS | METH_KEYWORDS,
     "show(encoded, limit=200)\n--\n\nA value for people, on one line, cut after about `limit` bytes."},
    {"sha256", sha256, METH_O, "sha256(data, /)\n--\n\nThe SHA-256 of bytes."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    ext_state *state = ext_state_of_module(module);
    PyObject *bases = PyTuple_Pack(1, PyExc_Exception);
    if (bases == NULL) {
        return -1;
    }
    state->error = PyType_FromModuleAndSpec(module, &error_spec, bases);
    Py_DECREF(bases);
    state->uncacheable = PyErr_NewExceptionWithDoc(
        "saggar._saggar.Uncacheable", "An object has no canonical encoding; str() says what and where.", NULL,
        NULL);
    if (state->error == NULL || state->uncacheable == NULL ||
        PyModule_AddObjectRef(module, "SaggarError", state->error) < 0 ||
        PyModule_AddObjectRef(module, "Uncacheable", state->uncacheable) < 0 ||
        PyModule_AddIntConstant(module, "FLAG_USED", SAGGAR_FLAG_USED) < 0 ||
        PyModule_AddIntConstant(module, "FLAG_CACHEABLE", SAGGAR_FLAG_CACHEABLE) < 0 ||
        PyModule_AddIntConstant(module, "FLAG_ACTIVE", SAGGAR_FLAG_ACTIVE) < 0 ||
        PyModule_AddIntConstant(module, "FLAG_NESTED", SAGGAR_FLAG_NESTED) < 0 ||
        PyModule_AddIntConstant(module, "FLAG_STARTING", SAGGAR_FLAG_STARTING) < 0) {
        return -1;
    }
    PyMethodDef *lists[] = {ext_encode_methods, ext_decode_methods, ext_recipe_methods, ext_host_methods,
                            ext_trail_methods};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        if (PyModule_AddFunctions(module, lists[i]) < 0) {
            return -1;
        }
    }
    return ext_types_add(module, state) < 0 || ext_cache_add(module, state) < 0 ||
                   ext_entry_add(module, state) < 0 || ext_mapping_add(module, state) < 0 ||
                   ext_tree_add(module, state) < 0
               ? -1
               : 0;
}

#define EACH_MEMBER(X)                                                                                       \
    X(error)                                                                                                 \
    X(uncacheable) X(record) X(map) X(digest) X(raw) X(cache) X(entry) X(claim) X(lease) X(mapping) X(tree)

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    ext_state *state = ext_state_of_module(module);
#define X(member) Py_VISIT(state->member);
    EACH_MEMBER(X)
#undef X
    return 0;
}

static int module_clear(PyObject *module) {
    ext_state *state = ext_state_of_module(module);
#define X(member) Py_CLEAR(state->member);
    EACH_MEMBER(X)
#undef X
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

struct PyModuleDef ext_module = {
    PyModuleDef_HEAD_INIT,         .m_name = "saggar._saggar", .m_doc = "The binding of libsaggar.",
    .m_size = sizeof(ext_state),   .m_methods = methods,       .m_slots = slots,
    .m_traverse = module_traverse, .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__saggar(void);

PyMODINIT_FUNC PyInit__saggar(void) {
    return PyModuleDef_Init(&ext_module);
}
