/*
 * Cache: one saggar_cache. Calls that may block run without the interpreter's lock; close() during such a
 * call takes effect when the last of them is back, so that no thread ever works with a closed cache.
 */
#include "ext.h"

#include "cache/cache.h"

#include <string.h>
#include <time.h>

saggar_cache *ext_cache_borrow(CacheObject *self) {
    if (self->cache == NULL || self->closing) {
        PyErr_SetString(PyExc_ValueError, "the cache is closed");
        return NULL;
    }
    self->users++;
    return self->cache;
}

static void close_now(CacheObject *self) {
    saggar_cache *cache = self->cache;
    self->cache = NULL;
    if (cache != NULL) {
        saggar_cache_close(cache);
    }
}

void ext_cache_return(CacheObject *self) {
    self->users--;
    if (self->users == 0 && self->closing) {
        close_now(self);
    }
}

/** True if a lookup may read files: there is an active store. An image is mapped when it is opened. */
static bool may_block(saggar_cache *cache) {
    saggar_tier_info tier;
    for (unsigned i = 0; saggar_cache_tier(cache, i, &tier) == SAGGAR_OK; i++) {
        if (tier.active && strcmp(tier.kind, "image") != 0) {
            return true;
        }
    }
    return false;
}

static PyObject *cache_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    static char *keywords[] = {"store", "images", "prefix", "read_only", "wait_ms", "features", NULL};
    const char *store = NULL, *images = NULL, *prefix = NULL, *features = NULL;
    int read_only = -1;
    long long wait_ms = -1;
    if (!PyArg_ParseTupleAndKeywords(args, names, "|$zzzpLz:Cache", keywords, &store, &images, &prefix,
                                     &read_only, &wait_ms, &features)) {
        return NULL;
    }
    saggar_cache_options options;
    saggar_cache_options_init(&options);
    options.store = store != NULL ? store : options.store;
    options.images = images != NULL ? images : options.images;
    options.prefix = prefix != NULL ? prefix : options.prefix;
    options.features = features != NULL ? features : options.features;
    options.read_only = read_only >= 0 ? read_only > 0 : options.read_only;
    options.wait_ms = wait_ms >= 0 ? wait_ms : options.wait_ms;
    CacheObject *self = (CacheObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    int err = saggar_cache_open(&options, &self->cache);
    if (err != SAGGAR_OK) {
        const char *wrong = err == SAGGAR_EINVAL ? saggar_cache_options_wrong(&options) : NULL;
        self->cache = NULL;
        ext_raise(ext_state_of_type(type), err, wrong != NULL ? wrong : "cannot open the cache");
        Py_DECREF(self);
        return NULL;
    }
    self->blocks = may_block(self->cache);
    return (PyObject *)self;
}

static void cache_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    close_now((CacheObject *)self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *cache_close(PyObject *object, PyObject *unused) {
    (void)unused;
    CacheObject *self = (CacheObject *)object;
    self->closing = true;
    if (self->users == 0) {
        close_now(self);
    }
    Py_RETURN_NONE;
}

static PyObject *cache_tiers(PyObject *object, PyObject *unused) {
    (void)unused;
    CacheObject *self = (CacheObject *)object;
    saggar_cache *cache = ext_cache_borrow(self);
    PyObject *list = cache == NULL ? NULL : PyList_New(0);
    saggar_tier_info tier;
    for (unsigned i = 0; list != NULL && saggar_cache_tier(cache, i, &tier) == SAGGAR_OK; i++) {
        PyObject *path = PyUnicode_DecodeFSDefault(tier.path != NULL ? tier.path : "");
        PyObject *row = path == NULL ? NULL
                                     : Py_BuildValue("{sssOsOsOsssK}", "kind", tier.kind, "path", path,
                                                     "active", tier.active ? Py_True : Py_False, "trusted",
                                                     tier.trusted ? Py_True : Py_False, "note",
                                                     tier.note != NULL ? tier.note : "", "entries",
                                                     (unsigned long long)tier.entries);
        Py_XDECREF(path);
        if (row == NULL || PyList_Append(list, row) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    if (cache != NULL) {
        ext_cache_return(self);
    }
    return list;
}

/* ---- find, and the resolver's questions ---- */

/** Clears an Exception, which is no answer, and keeps anything else that was raised. */
static void put_aside(struct ext_asking *a) {
    if (PyErr_Occurred() == NULL || PyErr_ExceptionMatches(PyExc_Exception) || a->raised != NULL) {
        PyErr_Clear();
        return;
    }
#if PY_VERSION_HEX >= 0x030C0000
    a->raised = PyErr_GetRaisedException();
#else
    PyObject *type, *trace;
    PyErr_Fetch(&type, &a->raised, &trace);
    PyErr_NormalizeException(&type, &a->raised, &trace);
    if (trace != NULL) {
        PyException_SetTraceback(a->raised, trace);
    }
    Py_XDECREF(type);
    Py_XDECREF(trace);
#endif
}

bool ext_asking_raise(struct ext_asking *a) {
    if (a->raised == NULL) {
        return false;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(a->raised), a->raised); /* with the traceback that it has */
    Py_CLEAR(a->raised);
    return true;
}

/** Calls a method of the resolver; NULL, without an exception, for anything but an answer. Steals `args`. */
static PyObject *ask(struct ext_asking *a, const char *name, PyObject *args) {
    bool asks = args != NULL && a->raised == NULL;
    PyObject *method = asks ? PyObject_GetAttrString(a->resolver, name) : NULL;
    PyObject *answer = method == NULL ? NULL : PyObject_CallObject(method, args);
    Py_XDECREF(method);
    Py_XDECREF(args);
    if (answer == NULL) {
        put_aside(a);
    }
    return answer;
}

void ext_asking_lock(struct ext_asking *a) {
    if (a->thread != NULL) {
        PyEval_RestoreThread(a->thread);
    }
}

void ext_asking_unlock(struct ext_asking *a) {
    if (a->thread != NULL) {
        a->thread = PyEval_SaveThread();
    }
}

static int ask_digest(void *context, bool code, const char *resolver, const char *name, uint8_t digest[32]) {
    struct ext_asking *a = context;
    ext_asking_lock(a);
    PyObject *answer = ask(a, "digest", Py_BuildValue("(Oss)", code ? Py_True : Py_False, resolver, name));
    bool known = answer != NULL && PyBytes_Check(answer) && PyBytes_GET_SIZE(answer) == 32;
    if (known) {
        memcpy(digest, PyBytes_AS_STRING(answer), 32);
    }
    Py_XDECREF(answer);
    ext_asking_unlock(a);
    return known ? 0 : -1;
}

static int ask_text(struct ext_asking *a, const char *method, const char *name, char *out, size_t n) {
    ext_asking_lock(a);
    PyObject *answer = ask(a, method, Py_BuildValue("(s)", name));
    Py_ssize_t size = 0;
    const char *text =
        answer != NULL && PyUnicode_Check(answer) ? PyUnicode_AsUTF8AndSize(answer, &size) : NULL;
    bool known = text != NULL && (size_t)size < n && strlen(text) == (size_t)size;
    if (known) {
        memcpy(out, text, (size_t)size + 1);
    }
    PyErr_Clear();
    Py_XDECREF(answer);
    ext_asking_unlock(a);
    return known ? 0 : -1;
}

static int ask_distribution(void *context, const char *name, char *version, size_t n) {
    return ask_text(context, "distribution", name, version, n);
}

static int ask_root(void *context, const char *root, char *path, size_t n) {
    return ask_text(context, "root", root, path, n);
}

static bool ask_symbol(void *context, const char *name) {
    struct ext_asking *a = context;
    ext_asking_lock(a);
    PyObject *answer = ask(a, "symbol", Py_BuildValue("(s)", name));
    int known = answer == NULL ? 0 : PyObject_IsTrue(answer);
    put_aside(a);
    Py_XDECREF(answer);
    ext_asking_unlock(a);
    return known > 0;
}

saggar_resolver ext_asking_resolver(struct ext_asking *a) {
    saggar_resolver asked = {a, ask_digest, ask_distribution, ask_root, NULL};
    if (PyObject_HasAttrString(a->resolver, "symbol")) {
        asked.symbol = ask_symbol;
    }
    return asked;
}

static PyObject *find_with(CacheObject *self, saggar_cache *cache, const uint8_t *key, PyObject *resolver) {
    ext_state *state = ext_state_of_type(Py_TYPE(self));
    struct ext_asking a = {.resolver = resolver};
    saggar_resolver asked = ext_asking_resolver(&a);
    saggar_entry *entry = NULL;
    saggar_reason reason = SAGGAR_REASON_NONE;
    char detail[SAGGAR_DETAIL_SIZE] = "";
    a.thread = self->blocks ? PyEval_SaveThread() : NULL;
    int err = saggar_cache_find(cache, key, resolver == Py_None ? NULL : &asked, &entry, &reason, detail);
    ext_asking_lock(&a);
    if (ext_asking_raise(&a)) {
        saggar_entry_release(entry);
        return NULL;
    }
    if (err != SAGGAR_OK) {
        return ext_raise(state, err, NULL);
    }
    PyObject *found = entry == NULL ? Py_NewRef(Py_None) : ext_entry_new(state, entry);
    PyObject *why = PyUnicode_DecodeUTF8(detail, (Py_ssize_t)strnlen(detail, sizeof detail), "replace");
    if (found == NULL || why == NULL) {
        Py_XDECREF(found);
        Py_XDECREF(why);
        return NULL;
    }
    return Py_BuildValue("(NsN)", found, saggar_reason_word(reason), why);
}

static PyObject *cache_find(PyObject *object, PyObject *args, PyObject *names) {
    static char *keywords[] = {"key", "resolver", NULL};
    CacheObject *self = (CacheObject *)object;
    PyObject *key, *resolver = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, names, "O|O:find", keywords, &key, &resolver)) {
        return NULL;
    }
    const uint8_t *digest = ext_digest(key, "key");
    saggar_cache *cache = digest == NULL ? NULL : ext_cache_borrow(self);
    if (cache == NULL) {
        return NULL;
    }
    PyObject *result = find_with(self, cache, digest, resolver);
    ext_cache_return(self);
    return result;
}

/* ---- claim ---- */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define SLICE_MS 500
#define INTERRUPTED 1

/**
 * Waits in slices, so that a signal (Ctrl-C) is heard meanwhile: then INTERRUPTED, with an exception. A slice
 * that ends without a claim before its time means that waiting is of no use.
 */
static int claim_in_slices(saggar_cache *cache, const uint8_t *key, int64_t wait_ms, saggar_claim **claim,
                           saggar_claim_outcome *outcome) {
    for (;;) {
        int64_t slice = wait_ms < SLICE_MS ? wait_ms : SLICE_MS;
        double begin = now();
        int err;
        Py_BEGIN_ALLOW_THREADS;
        err = saggar_cache_claim(cache, key, slice, claim, outcome);
        Py_END_ALLOW_THREADS;
        wait_ms -= slice;
        if (err != SAGGAR_OK || *outcome != SAGGAR_CLAIM_NONE || wait_ms <= 0 ||
            now() - begin < 0.9e-3 * (double)slice) {
            return err;
        }
        saggar_claim_release(*claim);
        if (PyErr_CheckSignals() < 0) {
            return INTERRUPTED;
        }
    }
}

static PyObject *cache_claim(PyObject *object, PyObject *args, PyObject *names) {
    static char *keywords[] = {"key", "wait_ms", NULL};
    CacheObject *self = (CacheObject *)object;
    PyObject *key;
    long long wait_ms = -1;
    if (!PyArg_ParseTupleAndKeywords(args, names, "O|L:claim", keywords, &key, &wait_ms)) {
        return NULL;
    }
    const uint8_t *digest = ext_digest(key, "key");
    saggar_cache *cache = digest == NULL ? NULL : ext_cache_borrow(self);
    if (cache == NULL) {
        return NULL;
    }
    saggar_claim *claim = NULL;
    saggar_claim_outcome outcome = SAGGAR_CLAIM_NONE;
    double begin = now(), waited;
    int err = claim_in_slices(cache, digest, wait_ms >= 0 ? wait_ms : cache->wait_ms, &claim, &outcome);
    waited = now() - begin;
    ext_cache_return(self);
    ext_state *state = ext_state_of_type(Py_TYPE(self));
    if (err == INTERRUPTED) {
        return NULL;
    }
    return err == SAGGAR_OK ? ext_claim_new(state, claim, outcome, waited) : ext_raise(state, err, NULL);
}

static PyMethodDef cache_methods[] = {
    {"find", (PyCFunction)(void (*)(void))cache_find, METH_VARARGS | METH_KEYWORDS,
     "find(key, resolver=None)\n--\n\n(entry or None, reason, detail) of the best usable entry under the "
     "key."},
    {"claim", (PyCFunction)(void (*)(void))cache_claim, METH_VARARGS | METH_KEYWORDS,
     "claim(key, wait_ms=-1)\n--\n\nAnnounces a compilation, and waits while somebody else compiles the "
     "key."},
    {"publish", (PyCFunction)(void (*)(void))ext_cache_publish, METH_VARARGS | METH_KEYWORDS,
     "publish(recipe, *, group, parts, arch='host', features=None, symbols=[], dependencies=[], "
     "seconds=None)\n--\n\n"
     "Stores an entry and returns its identity."},
    {"get_or_build", (PyCFunction)(void (*)(void))ext_cache_get_or_build, METH_VARARGS | METH_KEYWORDS,
     "get_or_build(recipe, build, *, group, resolver=None, wait_ms=None)\n--\n\n"
     "(Tree, facts) of a directory tree that is built once among all processes that see the store."},
    {"tiers", cache_tiers, METH_NOARGS, "tiers()\n--\n\nThe tiers in search order."},
    {"close", cache_close, METH_NOARGS, "close()\n--\n\nCloses the cache; entries that are held stay valid."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cache_slots[] = {
    {Py_tp_doc,
     "Cache(*, store=None, images=None, prefix=None, read_only=False, wait_ms=-1, features=None)\n--\n\n"
     "A stack of tiers; what is not given comes from the environment."},
    {Py_tp_new, cache_new},
    {Py_tp_dealloc, cache_dealloc},
    {Py_tp_methods, cache_methods},
    {0, NULL},
};

static PyType_Spec cache_spec = {
    .name = "saggar._saggar.Cache",
    .basicsize = sizeof(CacheObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cache_slots,
};

int ext_cache_add(PyObject *module, ext_state *state) {
    state->cache = (PyTypeObject *)PyType_FromModuleAndSpec(module, &cache_spec, NULL);
    return state->cache == NULL ? -1 : PyModule_AddType(module, state->cache);
}
