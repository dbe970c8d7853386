/*
 * Cache.publish(): from Python's arguments to a draft, which is then stored without the interpreter's lock.
 * The draft copies everything, so that nothing of Python is touched meanwhile.
 */
#include "ext.h"

#include <string.h>

#include "isa/features.h"

/** 0, or -1 with SaggarError. */
static int check(ext_state *state, int err, const char *what) {
    if (err != SAGGAR_OK) {
        ext_raise(state, err, what);
    }
    return err == SAGGAR_OK ? 0 : -1;
}

static int add_part(ext_state *state, saggar_draft *draft, PyObject *name, PyObject *bytes) {
    const char *text = ext_text(name, "the name of a part");
    Py_buffer view;
    if (text == NULL || PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    int err = saggar_draft_part(draft, text, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return check(state, err, text);
}

/** Both are held meanwhile: asking for a buffer may run Python code, which may change the dict. */
int ext_add_parts(ext_state *state, saggar_draft *draft, PyObject *parts) {
    PyObject *name, *bytes;
    Py_ssize_t next = 0;
    int result = 0;
    while (result == 0 && PyDict_Next(parts, &next, &name, &bytes)) {
        Py_INCREF(name);
        Py_INCREF(bytes);
        result = add_part(state, draft, name, bytes);
        Py_DECREF(name);
        Py_DECREF(bytes);
    }
    return result;
}

static int arch_of(const char *name, saggar_arch *arch) {
    static const struct {
        const char *name;
        saggar_arch arch;
    } known[] = {{"any", SAGGAR_ARCH_ANY}, {"x86_64", SAGGAR_ARCH_X86_64}, {"aarch64", SAGGAR_ARCH_AARCH64}};
    *arch = saggar_host_arch();
    if (strcmp(name, "host") == 0) {
        return 0;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) == 0) {
            *arch = known[i].arch;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "unknown architecture '%s'", name);
    return -1;
}

int ext_add_features(ext_state *state, saggar_draft *draft, saggar_arch arch, const char *cpu,
                     const char *features) {
    saggar_features set;
    char *unknown = NULL;
    if (check(state, saggar_features_parse(arch, cpu, features, &set, &unknown), cpu) < 0) {
        return -1;
    }
    saggar_features_required(arch, SAGGAR_PROVENANCE_DECLARED,
                             &set); /* what the code can need of the target */
    int err = saggar_draft_require_features(draft, SAGGAR_PROVENANCE_DECLARED, &set, unknown);
    free(unknown);
    return check(state, err, "features");
}

/** ("file", root, path, size, sha256) and so on: one row of docs/FORMAT.md section 4.3. */
int ext_add_dependency(ext_state *state, saggar_draft *draft, PyObject *row) {
    const char *kind, *first, *second;
    PyObject *bytes = NULL;
    unsigned long long size;
    if (!PyTuple_Check(row) || PyTuple_GET_SIZE(row) < 1 ||
        (kind = ext_text(PyTuple_GET_ITEM(row, 0), "the kind of a dependency")) == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "a dependency must be a tuple");
        }
        return -1;
    }
    int err;
    if (strcmp(kind, "distribution") == 0) {
        if (!PyArg_ParseTuple(row, "sss;dependency", &kind, &first, &second)) {
            return -1;
        }
        err = saggar_draft_depend_distribution(draft, first, second);
    } else if (strcmp(kind, "file") == 0) {
        if (!PyArg_ParseTuple(row, "sssKO;dependency", &kind, &first, &second, &size, &bytes) ||
            ext_digest(bytes, "sha256") == NULL) {
            return -1;
        }
        err = saggar_draft_depend_file(draft, first, second, size, (uint8_t *)PyBytes_AS_STRING(bytes));
    } else if (strcmp(kind, "value") == 0 || strcmp(kind, "code") == 0) {
        bool code = kind[0] == 'c';
        if (!PyArg_ParseTuple(row, "sssO;dependency", &kind, &first, &second, &bytes) ||
            ext_digest(bytes, "digest") == NULL) {
            return -1;
        }
        const uint8_t *digest = (uint8_t *)PyBytes_AS_STRING(bytes);
        err = code ? saggar_draft_depend_code(draft, first, second, digest)
                   : saggar_draft_depend_value(draft, first, second, digest);
    } else {
        PyErr_Format(PyExc_ValueError, "unknown kind of dependency '%s'", kind);
        return -1;
    }
    return check(state, err, kind);
}

/** Calls `add` for each item of a list or tuple. */
static int add_each(ext_state *state, saggar_draft *draft, PyObject *items,
                    int (*add)(ext_state *, saggar_draft *, PyObject *)) {
    PyObject *fast = PySequence_Fast(items, "symbols and dependencies must be lists");
    int result = fast == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; result == 0 && i < PySequence_Fast_GET_SIZE(fast); i++) {
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(fast, i)); /* `add` may run Python code */
        result = add(state, draft, item);
        Py_DECREF(item);
    }
    Py_XDECREF(fast);
    return result;
}

static int add_symbol(ext_state *state, saggar_draft *draft, PyObject *name) {
    const char *text = ext_text(name, "a symbol");
    return text == NULL ? -1 : check(state, saggar_draft_require_symbol(draft, text), text);
}

struct arguments {
    Py_buffer recipe;
    const char *compiler, *module, *qualname, *arch, *cpu, *features;
    PyObject *parts, *symbols, *dependencies, *seconds;
};

static int fill(ext_state *state, saggar_draft *draft, const struct arguments *a) {
    saggar_arch arch = saggar_host_arch();
    if (check(state, saggar_draft_group(draft, a->compiler, a->module, a->qualname), "group") < 0) {
        return -1;
    }
    if (a->arch != NULL) {
        if (arch_of(a->arch, &arch) < 0) {
            return -1;
        }
        const char *abi = arch == SAGGAR_ARCH_ANY ? "any" : "linux-gnu";
        if (check(state, saggar_draft_require_arch(draft, arch, abi), "arch") < 0) {
            return -1;
        }
    }
    if (a->cpu != NULL && ext_add_features(state, draft, arch, a->cpu, a->features) < 0) {
        return -1;
    }
    if (a->seconds != Py_None) {
        double seconds = PyFloat_AsDouble(a->seconds);
        if (PyErr_Occurred() || check(state, saggar_draft_seconds(draft, seconds), "seconds") < 0) {
            return -1;
        }
    }
    return ext_add_parts(state, draft, a->parts) < 0 ||
                   (a->symbols != NULL && add_each(state, draft, a->symbols, add_symbol) < 0) ||
                   (a->dependencies != NULL &&
                    add_each(state, draft, a->dependencies, ext_add_dependency) < 0)
               ? -1
               : 0;
}

static PyObject *store(CacheObject *self, saggar_draft *draft) {
    uint8_t identity[32];
    int err;
    saggar_cache *cache = ext_cache_borrow(self);
    if (cache == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    err = saggar_cache_publish(cache, draft, identity);
    Py_END_ALLOW_THREADS;
    ext_cache_return(self);
    return err == SAGGAR_OK ? PyBytes_FromStringAndSize((const char *)identity, sizeof identity)
                            : ext_raise(ext_state_of_type(Py_TYPE(self)), err, "cannot publish");
}

PyObject *ext_cache_publish(PyObject *object, PyObject *args, PyObject *names) {
    static char *keywords[] = {"recipe",  "group",        "parts",   "arch", "features",
                               "symbols", "dependencies", "seconds", NULL};
    CacheObject *self = (CacheObject *)object;
    ext_state *state = ext_state_of_type(Py_TYPE(self));
    struct arguments a = {.arch = "host", .seconds = Py_None};
    PyObject *features = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, names, "y*|$(sss)O!zOOOO:publish", keywords, &a.recipe,
                                     &a.compiler, &a.module, &a.qualname, &PyDict_Type, &a.parts, &a.arch,
                                     &features, &a.symbols, &a.dependencies, &a.seconds)) {
        return NULL;
    }
    PyObject *identity = NULL;
    saggar_draft *draft = NULL;
    if (a.compiler == NULL || a.parts == NULL) {
        PyErr_SetString(PyExc_TypeError, "publish() needs group and parts");
    } else if (features != Py_None && !PyTuple_Check(features)) {
        PyErr_SetString(PyExc_TypeError, "features must be a tuple of a CPU model and a feature string");
    } else if ((features == Py_None || PyArg_ParseTuple(features, "ss;features", &a.cpu, &a.features)) &&
               check(state, saggar_draft_new(a.recipe.buf, (size_t)a.recipe.len, &draft), "recipe") == 0) {
        identity = fill(state, draft, &a) < 0 ? NULL : store(self, draft);
        saggar_draft_free(draft);
    }
    PyBuffer_Release(&a.recipe);
    return identity;
}
