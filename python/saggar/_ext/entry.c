/*
 * Entry, its parts, and Claim. A part is lent out as a read-only memoryview over a lease, which holds the
 * bytes and the entry until the last view is gone. A claim is released once: at the end of its block, by
 * hand, or when collected.
 */
#include "ext.h"

#include <stddef.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD saggar_entry *entry;
    PyObject *tier, *identity;
} EntryObject;

/** Bytes of a part, lent out through the buffer protocol. */
typedef struct {
    PyObject_HEAD PyObject *entry;
    saggar_view view;
} LeaseObject;

typedef struct {
    PyObject_HEAD saggar_claim *claim;
    PyObject *outcome;
    double waited;
} ClaimObject;

static void free_object(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- entry ---- */

PyObject *ext_entry_new(ext_state *state, saggar_entry *entry) {
    uint8_t identity[32];
    EntryObject *self = (EntryObject *)state->entry->tp_alloc(state->entry, 0);
    if (self == NULL) {
        saggar_entry_release(entry);
        return NULL;
    }
    self->entry = entry;
    saggar_entry_identity(entry, identity);
    self->tier = PyUnicode_DecodeFSDefault(saggar_entry_tier(entry));
    self->identity = PyBytes_FromStringAndSize((const char *)identity, sizeof identity);
    if (self->tier == NULL || self->identity == NULL) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void entry_dealloc(PyObject *object) {
    EntryObject *self = (EntryObject *)object;
    saggar_entry_release(self->entry);
    Py_XDECREF(self->tier);
    Py_XDECREF(self->identity);
    free_object(object);
}

PyObject *ext_lend(ext_state *state, saggar_view view, PyObject *keep) {
    LeaseObject *lease = (LeaseObject *)state->lease->tp_alloc(state->lease, 0);
    if (lease == NULL) {
        saggar_view_release(&view);
        return NULL;
    }
    lease->view = view;
    lease->entry = Py_XNewRef(keep);
    PyObject *memory = PyMemoryView_FromObject((PyObject *)lease);
    Py_DECREF(lease);
    return memory;
}

static PyObject *lend(EntryObject *self, saggar_view view) {
    return ext_lend(ext_state_of_type(Py_TYPE(self)), view, (PyObject *)self);
}

static PyObject *entry_tree(PyObject *object, PyObject *unused) {
    (void)unused;
    return ext_tree_of_entry(ext_state_of_type(Py_TYPE(object)), ((EntryObject *)object)->entry);
}

static PyObject *entry_part(PyObject *object, PyObject *name) {
    EntryObject *self = (EntryObject *)object;
    const char *text = ext_text(name, "the name of a part");
    if (text == NULL) {
        return NULL;
    }
    saggar_view view;
    int err = saggar_entry_part(self->entry, text, &view);
    if (err == SAGGAR_ENOTFOUND) {
        Py_RETURN_NONE;
    }
    return err == SAGGAR_OK ? lend(self, view) : ext_raise(ext_state_of_type(Py_TYPE(self)), err, text);
}

static PyObject *entry_recipe(PyObject *object, PyObject *unused) {
    (void)unused;
    EntryObject *self = (EntryObject *)object;
    saggar_view view;
    int err = saggar_entry_recipe(self->entry, &view);
    return err == SAGGAR_OK ? lend(self, view) : ext_raise(ext_state_of_type(Py_TYPE(self)), err, "recipe");
}

static PyObject *entry_reject(PyObject *self, PyObject *unused) {
    (void)unused;
    saggar_entry_reject(((EntryObject *)self)->entry);
    Py_RETURN_NONE;
}

/** One row, as publish() takes it. */
static PyObject *dependency_row(const saggar_dependency *d) {
    const char *sha256 = (const char *)d->sha256;
    switch (d->kind) {
    case SAGGAR_DEPEND_DISTRIBUTION:
        return Py_BuildValue("(sss)", "distribution", d->scope, d->name);
    case SAGGAR_DEPEND_FILE:
        return Py_BuildValue("(sssKy#)", "file", d->scope, d->name, (unsigned long long)d->size, sha256,
                             (Py_ssize_t)32);
    case SAGGAR_DEPEND_VALUE:
    case SAGGAR_DEPEND_CODE:
        break;
    }
    return Py_BuildValue("(sssy#)", d->kind == SAGGAR_DEPEND_CODE ? "code" : "value", d->scope, d->name,
                         sha256, (Py_ssize_t)32);
}

/** 0, or -1 with a Python exception. */
static int append_dependency(void *rows, const saggar_dependency *dependency) {
    PyObject *row = dependency_row(dependency);
    int result = row == NULL ? -1 : PyList_Append(rows, row);
    Py_XDECREF(row);
    return result;
}

static PyObject *entry_dependencies(PyObject *self, PyObject *unused) {
    (void)unused;
    PyObject *rows = PyList_New(0);
    if (rows == NULL) {
        return NULL;
    }
    int err = saggar_entry_dependencies(((EntryObject *)self)->entry, append_dependency, rows);
    if (err == SAGGAR_OK) {
        return rows;
    }
    Py_DECREF(rows);
    return PyErr_Occurred() ? NULL : ext_raise(ext_state_of_type(Py_TYPE(self)), err, "dependencies");
}

static PyObject *entry_tree_file(PyObject *object, PyObject *path) {
    const char *text = ext_text(path, "a path in a tree");
    int fd;
    if (text == NULL) {
        return NULL;
    }
    int err = saggar_entry_tree_file(((EntryObject *)object)->entry, text, &fd);
    return err == SAGGAR_OK ? PyLong_FromLong(fd) : ext_raise(ext_state_of_type(Py_TYPE(object)), err, text);
}

static PyMethodDef entry_methods[] = {
    {"part", entry_part, METH_O,
     "part(name, /)\n--\n\nA part's verified bytes, or None if there is no such part."},
    {"recipe", entry_recipe, METH_NOARGS, "recipe()\n--\n\nThe recipe's verified bytes."},
    {"dependencies", entry_dependencies, METH_NOARGS,
     "dependencies()\n--\n\nA list of tuples, as publish() takes them."},
    {"tree", entry_tree, METH_NOARGS,
     "tree()\n--\n\nThe entry's tree, placed: a Tree, or None if it has none."},
    {"tree_file", entry_tree_file, METH_O,
     "tree_file(path, /)\n--\n\nA descriptor of one file of the tree in sealed memory; the caller closes "
     "it."},
    {"reject", entry_reject, METH_NOARGS, "reject()\n--\n\nSets the entry aside for this process."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef entry_members[] = {
    {"tier", T_OBJECT, offsetof(EntryObject, tier), READONLY, "Path of the tier that it came from."},
    {"identity", T_OBJECT, offsetof(EntryObject, identity), READONLY, "32 bytes."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot entry_slots[] = {
    {Py_tp_doc, "An entry that was found; made by Cache.find() only."},
    {Py_tp_dealloc, entry_dealloc},
    {Py_tp_methods, entry_methods},
    {Py_tp_members, entry_members},
    {0, NULL},
};

/* ---- lease ---- */

static void lease_dealloc(PyObject *object) {
    LeaseObject *self = (LeaseObject *)object;
    saggar_view_release(&self->view);
    Py_XDECREF(self->entry);
    free_object(object);
}

static int lease_buffer(PyObject *object, Py_buffer *buffer, int flags) {
    static const uint8_t nothing[1] = {0};
    LeaseObject *self = (LeaseObject *)object;
    const void *data = self->view.size > 0 ? self->view.data : nothing;
    return PyBuffer_FillInfo(buffer, object, (void *)(uintptr_t)data, (Py_ssize_t)self->view.size, 1, flags);
}

static PyType_Slot lease_slots[] = {
    {Py_tp_doc, "Holds the bytes of a part; seen through a memoryview only."},
    {Py_tp_dealloc, lease_dealloc},
    {Py_bf_getbuffer, lease_buffer},
    {0, NULL},
};

/* ---- claim ---- */

PyObject *ext_claim_new(ext_state *state, saggar_claim *claim, saggar_claim_outcome outcome, double waited) {
    const char *word = outcome == SAGGAR_CLAIM_OWNED   ? "owned"
                       : outcome == SAGGAR_CLAIM_FREED ? "freed"
                                                       : "none";
    ClaimObject *self = (ClaimObject *)state->claim->tp_alloc(state->claim, 0);
    if (self == NULL) {
        saggar_claim_release(claim);
        return NULL;
    }
    self->claim = claim;
    self->waited = waited;
    self->outcome = PyUnicode_FromString(word);
    if (self->outcome == NULL) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void release(ClaimObject *self) {
    saggar_claim *claim = self->claim;
    self->claim = NULL;
    if (claim != NULL) {
        saggar_claim_release(claim);
    }
}

static void claim_dealloc(PyObject *object) {
    release((ClaimObject *)object);
    Py_XDECREF(((ClaimObject *)object)->outcome);
    free_object(object);
}

/** release(), and __exit__(), which takes whatever it is told. */
static PyObject *claim_release(PyObject *self, PyObject *unused) {
    (void)unused;
    release((ClaimObject *)self);
    Py_RETURN_NONE;
}

static PyObject *claim_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    return Py_NewRef(self);
}

static PyMethodDef claim_methods[] = {
    {"release", claim_release, METH_NOARGS,
     "release()\n--\n\nLets others compile the key; may be called twice."},
    {"__enter__", claim_enter, METH_NOARGS, NULL},
    {"__exit__", claim_release, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef claim_members[] = {
    {"outcome", T_OBJECT, offsetof(ClaimObject, outcome), READONLY, "'owned', 'freed' or 'none'."},
    {"waited", T_DOUBLE, offsetof(ClaimObject, waited), READONLY, "Seconds that the claim was waited for."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot claim_slots[] = {
    {Py_tp_doc, "The hint that this process compiles a key; made by Cache.claim() only."},
    {Py_tp_dealloc, claim_dealloc},
    {Py_tp_methods, claim_methods},
    {Py_tp_members, claim_members},
    {0, NULL},
};

#define OWN_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION)

static PyType_Spec entry_spec = {"saggar._saggar.Entry", sizeof(EntryObject), 0, OWN_FLAGS, entry_slots};
static PyType_Spec lease_spec = {"saggar._saggar._Lease", sizeof(LeaseObject), 0, OWN_FLAGS, lease_slots};
static PyType_Spec claim_spec = {"saggar._saggar.Claim", sizeof(ClaimObject), 0, OWN_FLAGS, claim_slots};

int ext_entry_add(PyObject *module, ext_state *state) {
    state->entry = (PyTypeObject *)PyType_FromModuleAndSpec(module, &entry_spec, NULL);
    state->lease = (PyTypeObject *)PyType_FromModuleAndSpec(module, &lease_spec, NULL);
    state->claim = (PyTypeObject *)PyType_FromModuleAndSpec(module, &claim_spec, NULL);
    if (state->entry == NULL || state->lease == NULL || state->claim == NULL) {
        return -1;
    }
    return PyModule_AddType(module, state->entry) < 0 ? -1 : PyModule_AddType(module, state->claim);
}
