/*
 * Tree, and Cache.get_or_build(): a finished directory tree, held as long as its object lives. The build runs
 * with the interpreter's lock, everything around it without; an exception that it raises is the caller's.
 */
#include "ext.h"

typedef struct {
    PyObject_HEAD saggar_tree *tree;
} TreeObject;

/** Takes the tree over, also on failure. */
static PyObject *tree_new(ext_state *state, saggar_tree *tree) {
    TreeObject *self = (TreeObject *)state->tree->tp_alloc(state->tree, 0);
    if (self == NULL) {
        saggar_tree_release(tree);
        return NULL;
    }
    self->tree = tree;
    return (PyObject *)self;
}

static void tree_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    saggar_tree_release(((TreeObject *)self)->tree);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *tree_path(PyObject *self, void *unused) {
    (void)unused;
    return PyUnicode_DecodeFSDefault(saggar_tree_path(((TreeObject *)self)->tree));
}

static PyObject *tree_shared(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(saggar_tree_is_shared(((TreeObject *)self)->tree));
}

static PyGetSetDef tree_members[] = {
    {"path", tree_path, NULL, "Where it lies: an absolute path.", NULL},
    {"shared", tree_shared, NULL, "True if later processes find it there; else it goes with this object.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot tree_slots[] = {
    {Py_tp_doc,
     "A finished directory tree, read-only; made by Cache.get_or_build() and Entry.tree() only. Keep the "
     "object as long as files of the tree are opened."},
    {Py_tp_dealloc, tree_dealloc},
    {Py_tp_getset, tree_members},
    {0, NULL},
};

static PyType_Spec tree_spec = {
    .name = "saggar._saggar.Tree",
    .basicsize = sizeof(TreeObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = tree_slots,
};

int ext_tree_add(PyObject *module, ext_state *state) {
    state->tree = (PyTypeObject *)PyType_FromModuleAndSpec(module, &tree_spec, NULL);
    return state->tree == NULL ? -1 : PyModule_AddType(module, state->tree);
}

PyObject *ext_tree_of_entry(ext_state *state, saggar_entry *entry) {
    saggar_tree *tree;
    char detail[SAGGAR_DETAIL_SIZE] = "";
    int err;
    Py_BEGIN_ALLOW_THREADS;
    err = saggar_entry_tree(entry, &tree, detail);
    Py_END_ALLOW_THREADS;
    if (err == SAGGAR_ENOTFOUND) {
        Py_RETURN_NONE;
    }
    return err == SAGGAR_OK ? tree_new(state, tree)
                            : ext_raise(state, err, detail[0] != '\0' ? detail : "tree");
}

/* ---- get_or_build ---- */

enum { RAISED = 1 };

struct building {
    struct ext_asking asking; /**< shared with the resolver: who holds the interpreter's lock */
    ext_state *state;
    PyObject *build;
};

/** What a build returned: None, or a dict of what publish() takes. 0, or -1 with an exception. */
static int add_results(ext_state *state, saggar_draft *draft, PyObject *results) {
    const char *cpu, *features;
    if (results == Py_None) {
        return 0;
    }
    if (!PyDict_Check(results)) {
        PyErr_SetString(PyExc_TypeError, "a build must return None or a dict");
        return -1;
    }
    PyObject *parts = PyDict_GetItemString(results, "parts");
    PyObject *target = PyDict_GetItemString(results, "features");
    PyObject *rows = PyDict_GetItemString(results, "dependencies");
    if (parts != NULL && (!PyDict_Check(parts) || ext_add_parts(state, draft, parts) < 0)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "parts must be a dict");
        }
        return -1;
    }
    if (target != NULL &&
        (!PyTuple_Check(target) || !PyArg_ParseTuple(target, "ss;features", &cpu, &features) ||
         ext_add_features(state, draft, saggar_host_arch(), cpu, features) < 0)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "features must be a tuple of a CPU model and a feature string");
        }
        return -1;
    }
    PyObject *fast = rows == NULL ? NULL : PySequence_Fast(rows, "dependencies must be a list");
    int result = rows != NULL && fast == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; fast != NULL && result == 0 && i < PySequence_Fast_GET_SIZE(fast); i++) {
        result = ext_add_dependency(state, draft, PySequence_Fast_GET_ITEM(fast, i));
    }
    Py_XDECREF(fast);
    return result;
}

static int run_build(void *context, const char *directory, saggar_draft *draft) {
    struct building *b = context;
    if (b->asking.raised != NULL) {
        return RAISED;
    }
    ext_asking_lock(&b->asking);
    PyObject *path = PyUnicode_DecodeFSDefault(directory);
    PyObject *results = path == NULL ? NULL : PyObject_CallOneArg(b->build, path);
    int result = results == NULL ? -1 : add_results(b->state, draft, results);
    Py_XDECREF(results);
    Py_XDECREF(path);
    ext_asking_unlock(&b->asking);
    return result < 0 ? RAISED : 0;
}

/** So that Ctrl-C is heard. */
static int on_waiting(void *context) {
    struct building *b = context;
    ext_asking_lock(&b->asking);
    int result = b->asking.raised != NULL ? -1 : PyErr_CheckSignals();
    ext_asking_unlock(&b->asking);
    return result < 0 ? RAISED : 0;
}

static PyObject *facts(const saggar_built *info) {
    PyObject *detail =
        PyUnicode_DecodeUTF8(info->detail, (Py_ssize_t)strnlen(info->detail, SAGGAR_DETAIL_SIZE), "replace");
    PyObject *identity =
        info->stored ? PyBytes_FromStringAndSize((const char *)info->identity, 32) : Py_NewRef(Py_None);
    if (detail == NULL || identity == NULL) {
        Py_XDECREF(detail);
        Py_XDECREF(identity);
        return NULL;
    }
    return Py_BuildValue("{sOsOsssssNsN}", "built", info->built ? Py_True : Py_False, "stored",
                         info->stored ? Py_True : Py_False, "reason", saggar_reason_word(info->reason),
                         "error", saggar_errname(info->error), "detail", detail, "identity", identity);
}

static PyObject *get_or_build(CacheObject *self, const Py_buffer *recipe, const saggar_build *build,
                              struct building *b) {
    saggar_tree *tree = NULL;
    saggar_built info;
    saggar_cache *cache = ext_cache_borrow(self);
    if (cache == NULL) {
        return NULL;
    }
    b->asking.thread = PyEval_SaveThread();
    int err = saggar_get_or_build(cache, recipe->buf, (size_t)recipe->len, build, &tree, &info);
    PyEval_RestoreThread(b->asking.thread);
    ext_cache_return(self);
    if (ext_asking_raise(&b->asking)) {
        saggar_tree_release(tree);
        return NULL;
    }
    if (err != SAGGAR_OK) {
        return PyErr_Occurred() ? NULL : ext_raise(b->state, err, "get_or_build");
    }
    PyObject *object = tree_new(b->state, tree);
    PyObject *dict = object == NULL ? NULL : facts(&info);
    if (dict == NULL) {
        Py_XDECREF(object);
        return NULL;
    }
    return Py_BuildValue("(NN)", object, dict);
}

PyObject *ext_cache_get_or_build(PyObject *object, PyObject *args, PyObject *names) {
    static char *keywords[] = {"recipe", "build", "group", "resolver", "wait_ms", NULL};
    struct building b = {.state = ext_state_of_type(Py_TYPE(object))};
    saggar_build build = {
        .struct_size = sizeof build, .build = run_build, .waiting = on_waiting, .context = &b};
    PyObject *resolver = Py_None, *wait = Py_None;
    Py_buffer recipe;
    if (!PyArg_ParseTupleAndKeywords(args, names, "y*O|$(sss)OO:get_or_build", keywords, &recipe, &b.build,
                                     &build.compiler, &build.module, &build.qualname, &resolver, &wait)) {
        return NULL;
    }
    saggar_resolver asked;
    if (resolver != Py_None) {
        b.asking.resolver = resolver;
        asked = ext_asking_resolver(&b.asking);
        build.resolver = &asked;
    }
    long long wait_ms = wait == Py_None ? 0 : PyLong_AsLongLong(wait);
    build.wait_ms = wait == Py_None ? 0 : wait_ms > 0 ? wait_ms : -1;
    PyObject *result = NULL;
    if (build.compiler == NULL) {
        PyErr_SetString(PyExc_TypeError, "get_or_build() needs group");
    } else if (!PyErr_Occurred()) {
        result = get_or_build((CacheObject *)object, &recipe, &build, &b);
    }
    PyBuffer_Release(&recipe);
    return result;
}
