/*
 * The binding, shared by its files. Everything that changes lives in the module's state, so that each
 * interpreter has its own. A function returns NULL or -1 with a Python exception set, as usual; references
 * are owned unless a comment says "borrowed".
 */
#ifndef SAGGAR_EXT_H
#define SAGGAR_EXT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <saggar/saggar.h>

typedef struct ext_state {
    PyObject *error;       /**< SaggarError */
    PyObject *uncacheable; /**< Uncacheable */
    PyTypeObject *record, *map, *digest, *raw;
    PyTypeObject *cache, *entry, *claim, *lease, *mapping, *tree;
} ext_state;

extern struct PyModuleDef ext_module;

static inline ext_state *ext_state_of_module(PyObject *module) {
    return (ext_state *)PyModule_GetState(module);
}

/** The state for an instance of one of the module's own types, none of which can be subclassed. */
static inline ext_state *ext_state_of_type(PyTypeObject *type) {
    return (ext_state *)PyType_GetModuleState(type);
}

/** Raises SaggarError(code, what) and returns NULL; MemoryError for ENOMEM. `what` may be NULL. */
PyObject *ext_raise(ext_state *state, int code, const char *what);

/** Text without a zero byte, in UTF-8; borrowed from the object. `what` names it in the TypeError or
 * ValueError. */
const char *ext_text(PyObject *object, const char *what);
/** Exactly 32 bytes of a bytes object; borrowed. */
const uint8_t *ext_digest(PyObject *object, const char *what);

/* ---- values (types.c; encode.c, place.c, numpy.c; decode.c, numpy_back.c) ---- */

typedef struct {
    PyObject_HEAD PyObject *type; /**< str */
    PyObject *fields;             /**< tuple of (str, object) tuples */
} RecordObject;

typedef struct {
    PyObject_HEAD PyObject *items; /**< dict */
} MapObject;

typedef struct {
    PyObject_HEAD PyObject *what; /**< str */
    PyObject *sha256;             /**< bytes of length 32 */
} DigestObject;

typedef struct {
    PyObject_HEAD PyObject *encoded; /**< bytes */
} RawObject;

int ext_types_add(PyObject *module, ext_state *state);
/** A Record of a type name and a tuple of (str, object) tuples; steals both. */
PyObject *ext_record_new(ext_state *state, PyObject *type, PyObject *fields);
PyObject *ext_map_new(ext_state *state, PyObject *items);
PyObject *ext_digest_new(ext_state *state, PyObject *what, PyObject *sha256);

#define EXT_MAX_DEPTH 128

/** One open container of a running encode. */
struct ext_level {
    PyObject *object; /**< the container; kept alive */
    PyObject *origin; /**< what `default` made it from, or NULL; kept alive */
    PyObject *at;     /**< key or field name of the place in it, borrowed, or NULL */
    Py_ssize_t index; /**< place in it when `at` is NULL; -1: no order */
};

struct ext_encoder {
    ext_state *state;
    saggar_encoder *out;
    PyObject *callback; /**< borrowed, or NULL */
    PyObject *order;    /**< likewise */
    int depth;
    struct ext_level level[EXT_MAX_DEPTH];
};

int ext_encode_value(struct ext_encoder *e, PyObject *value);
/** Raises Uncacheable("<what> at <path>"), formatted as PyUnicode_FromFormat does. Returns -1. */
int ext_uncacheable(struct ext_encoder *e, const char *format, ...);
/** 0 for SAGGAR_OK; else raises what fits and returns -1. */
int ext_encoded(struct ext_encoder *e, int code);
/** Opens and closes a level; `object` may be NULL for one that no reference can lead to. */
int ext_enter(struct ext_encoder *e, PyObject *object, PyObject *origin);
void ext_leave(struct ext_encoder *e);
/** The level that encloses this place and is the object, or -1. */
int ext_enclosing(const struct ext_encoder *e, PyObject *object);
/** An Uncacheable that a callback raised is told with the place where the object stood. */
void ext_add_place(struct ext_encoder *e);
int ext_encode_text(struct ext_encoder *e, PyObject *text);
/** NumPy's objects: 1 encoded, 0 not one of them, -1 raised. */
int ext_encode_numpy(struct ext_encoder *e, PyObject *value);

/** True, false or -1 with an exception. */
int ext_true_attribute(PyObject *object, const char *name);
/** The numpy module if it is imported, borrowed; NULL without an exception if not. */
PyObject *ext_numpy(void);
/** Made from decoded parts, NULL with an exception on failure. `dtype` is the decoded dtype. */
PyObject *ext_numpy_dtype(ext_state *state, PyObject *record);
PyObject *ext_numpy_array(PyObject *dtype, PyObject *shape, int order, int flags, PyObject *items);
PyObject *ext_numpy_scalar(PyObject *dtype, PyObject *item);

extern PyMethodDef ext_encode_methods[];
extern PyMethodDef ext_decode_methods[];
extern PyMethodDef ext_recipe_methods[];
extern PyMethodDef ext_host_methods[];
extern PyMethodDef ext_trail_methods[];

/* ---- cache (cache.c, entry.c, publish.c) ---- */

typedef struct {
    PyObject_HEAD saggar_cache *cache; /**< NULL once closed */
    unsigned users;                    /**< calls that run without the interpreter's lock */
    bool closing;                      /**< close() came while there were users: the last one closes */
    bool blocks;                       /**< a lookup may read a store */
} CacheObject;

/** A resolver whose questions go to a Python object, also while the interpreter's lock is released. */
struct ext_asking {
    PyObject *resolver;
    PyThreadState *thread; /**< set while the interpreter's lock is released */
    PyObject *raised; /**< what an answer raised that is no Exception (Ctrl-C); nothing is asked after it */
};
saggar_resolver ext_asking_resolver(struct ext_asking *asking);
/** Takes the interpreter's lock if it is released, and gives it back. */
void ext_asking_lock(struct ext_asking *asking);
void ext_asking_unlock(struct ext_asking *asking);
/** Sets the exception that was kept, if there is one; true then. Call it, with the lock, when the library is
 * back. */
bool ext_asking_raise(struct ext_asking *asking);

int ext_cache_add(PyObject *module, ext_state *state);
int ext_entry_add(PyObject *module, ext_state *state);

/** The open cache, held until ext_cache_return(); NULL with ValueError if it is closed. */
saggar_cache *ext_cache_borrow(CacheObject *self);
void ext_cache_return(CacheObject *self);

/** Wraps an entry or a claim; takes it over, also on failure. */
PyObject *ext_entry_new(ext_state *state, saggar_entry *entry);
PyObject *ext_claim_new(ext_state *state, saggar_claim *claim, saggar_claim_outcome outcome, double waited);

PyObject *ext_cache_publish(PyObject *self, PyObject *args, PyObject *names);

/* ---- mappings and trees (mapping.c, tree.c) ---- */

int ext_mapping_add(PyObject *module, ext_state *state);
int ext_tree_add(PyObject *module, ext_state *state);
PyObject *ext_cache_get_or_build(PyObject *self, PyObject *args, PyObject *names);
/** Entry.tree(). */
PyObject *ext_tree_of_entry(ext_state *state, saggar_entry *entry);
/** A read-only memoryview over a view, which it takes over; `keep` (may be NULL) is kept alive. */
PyObject *ext_lend(ext_state *state, saggar_view view, PyObject *keep);
/** The features of a target, as publish() takes them: 0, or -1 with an exception. */
int ext_add_features(ext_state *state, saggar_draft *draft, saggar_arch arch, const char *cpu,
                     const char *features);
int ext_add_parts(ext_state *state, saggar_draft *draft, PyObject *parts);
/** Adds one row of dependencies to a draft, as publish() takes them: 0, or -1 with an exception. */
int ext_add_dependency(ext_state *state, saggar_draft *draft, PyObject *row);

#endif
