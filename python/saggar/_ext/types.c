/*
 * Record, Map, Digest and Raw: values that Python has no type of its own for. They are made once, compared by
 * content and do not change; Record and Map may be part of a cycle.
 */
#include "ext.h"

#include <stddef.h>
#include <structmember.h>

/** What all four share: up to two object members behind the head. */
typedef struct {
    PyObject_HEAD PyObject *member[2];
} Values;

_Static_assert(offsetof(RecordObject, type) == offsetof(Values, member), "Record is not laid out as Values");
_Static_assert(offsetof(RecordObject, fields) == offsetof(Values, member[1]),
               "Record is not laid out as Values");
_Static_assert(offsetof(DigestObject, sha256) == offsetof(Values, member[1]),
               "Digest is not laid out as Values");
_Static_assert(offsetof(MapObject, items) == offsetof(Values, member), "Map is not laid out as Values");
_Static_assert(offsetof(RawObject, encoded) == offsetof(Values, member), "Raw is not laid out as Values");

static int is_pair(PyObject *self) {
    return Py_TYPE(self)->tp_basicsize == (Py_ssize_t)sizeof(Values);
}

static int values_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Values *)self)->member[0]);
    if (is_pair(self)) {
        Py_VISIT(((Values *)self)->member[1]);
    }
    return 0;
}

static int values_clear(PyObject *self) {
    Py_CLEAR(((Values *)self)->member[0]);
    if (is_pair(self)) {
        Py_CLEAR(((Values *)self)->member[1]);
    }
    return 0;
}

static void values_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, values_dealloc);
    values_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END;
}

/** Steals both members; `second` is NULL for types with one. */
static PyObject *values_new(PyTypeObject *type, PyObject *first, PyObject *second) {
    PyObject *self = first == NULL ? NULL : type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_XDECREF(first);
        Py_XDECREF(second);
        return NULL;
    }
    ((Values *)self)->member[0] = first;
    if (is_pair(self)) {
        ((Values *)self)->member[1] = second;
    }
    return self;
}

static PyObject *values_compare(PyObject *a, PyObject *b, int op) {
    if (Py_TYPE(a) != Py_TYPE(b) || (op != Py_EQ && op != Py_NE)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    int equal = PyObject_RichCompareBool(((Values *)a)->member[0], ((Values *)b)->member[0], Py_EQ);
    if (equal > 0 && is_pair(a)) {
        equal = PyObject_RichCompareBool(((Values *)a)->member[1], ((Values *)b)->member[1], Py_EQ);
    }
    return equal < 0 ? NULL : PyBool_FromLong(op == Py_EQ ? equal : !equal);
}

/** Equal objects hash equal; the fields of a record need not be hashable. */
static Py_hash_t values_hash(PyObject *self) {
    PyObject *first = ((Values *)self)->member[0];
    return PyDict_Check(first) ? 0x5A66 : PyObject_Hash(first);
}

static PyObject *values_repr(PyObject *self) {
    const char *name = strrchr(Py_TYPE(self)->tp_name, '.');
    name = name == NULL ? Py_TYPE(self)->tp_name : name + 1;
    int entered = Py_ReprEnter(self);
    if (entered != 0) {
        return entered < 0 ? NULL : PyUnicode_FromFormat("%s(...)", name);
    }
    Values *v = (Values *)self;
    PyObject *text = is_pair(self) ? PyUnicode_FromFormat("%s(%R, %R)", name, v->member[0], v->member[1])
                                   : PyUnicode_FromFormat("%s(%R)", name, v->member[0]);
    Py_ReprLeave(self);
    return text;
}

/* ---- constructors ---- */

PyObject *ext_record_new(ext_state *state, PyObject *type, PyObject *fields) {
    return values_new(state->record, type, fields);
}

PyObject *ext_map_new(ext_state *state, PyObject *items) {
    return values_new(state->map, items, NULL);
}

PyObject *ext_digest_new(ext_state *state, PyObject *what, PyObject *sha256) {
    return values_new(state->digest, what, sha256);
}

static int is_field(PyObject *field) {
    return PyTuple_CheckExact(field) && PyTuple_GET_SIZE(field) == 2 &&
           PyUnicode_CheckExact(PyTuple_GET_ITEM(field, 0));
}

static PyObject *record_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    static char *keywords[] = {"type", "fields", NULL};
    PyObject *name, *given;
    if (!PyArg_ParseTupleAndKeywords(args, names, "UO:Record", keywords, &name, &given)) {
        return NULL;
    }
    if (!PyTuple_CheckExact(given) && !PyList_CheckExact(given)) {
        PyErr_SetString(PyExc_TypeError, "the fields of a record must be a tuple or a list");
        return NULL;
    }
    PyObject *fields = PySequence_Tuple(given);
    if (fields == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++) {
        if (!is_field(PyTuple_GET_ITEM(fields, i))) {
            PyErr_SetString(PyExc_TypeError, "a field must be a tuple of a str and a value");
            Py_DECREF(fields);
            return NULL;
        }
    }
    return values_new(type, Py_NewRef(name), fields);
}

static PyObject *map_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    static char *keywords[] = {"items", NULL};
    PyObject *items;
    if (!PyArg_ParseTupleAndKeywords(args, names, "O!:Map", keywords, &PyDict_Type, &items)) {
        return NULL;
    }
    return values_new(type, PyDict_Copy(items), NULL);
}

static PyObject *digest_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    static char *keywords[] = {"what", "sha256", NULL};
    PyObject *what, *sha256;
    if (!PyArg_ParseTupleAndKeywords(args, names, "UO:Digest", keywords, &what, &sha256) ||
        ext_digest(sha256, "sha256") == NULL) {
        return NULL;
    }
    return values_new(type, Py_NewRef(what), Py_NewRef(sha256));
}

static PyObject *raw_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    static char *keywords[] = {"encoded", NULL};
    PyObject *encoded;
    if (!PyArg_ParseTupleAndKeywords(args, names, "O!:Raw", keywords, &PyBytes_Type, &encoded)) {
        return NULL;
    }
    return values_new(type, Py_NewRef(encoded), NULL);
}

/* ---- the four types ---- */

static PyMemberDef record_members[] = {
    {"type", T_OBJECT, offsetof(RecordObject, type), READONLY, "The type's name."},
    {"fields", T_OBJECT, offsetof(RecordObject, fields), READONLY, "Tuple of (name, value), in order."},
    {NULL, 0, 0, 0, NULL},
};
static PyMemberDef map_members[] = {
    {"items", T_OBJECT, offsetof(MapObject, items), READONLY, "The dict."},
    {NULL, 0, 0, 0, NULL},
};
static PyMemberDef digest_members[] = {
    {"what", T_OBJECT, offsetof(DigestObject, what), READONLY, "What was digested."},
    {"sha256", T_OBJECT, offsetof(DigestObject, sha256), READONLY, "32 bytes."},
    {NULL, 0, 0, 0, NULL},
};
static PyMemberDef raw_members[] = {
    {"encoded", T_OBJECT, offsetof(RawObject, encoded), READONLY, "The encoding."},
    {NULL, 0, 0, 0, NULL},
};

#define VALUE_TYPE(lower, Upper, doc)                                                                        \
    static PyType_Slot lower##_slots[] = {                                                                   \
        {Py_tp_doc, doc},                                                                                    \
        {Py_tp_new, lower##_new},                                                                            \
        {Py_tp_dealloc, values_dealloc},                                                                     \
        {Py_tp_traverse, values_traverse},                                                                   \
        {Py_tp_clear, values_clear},                                                                         \
        {Py_tp_richcompare, values_compare},                                                                 \
        {Py_tp_hash, values_hash},                                                                           \
        {Py_tp_repr, values_repr},                                                                           \
        {Py_tp_members, lower##_members},                                                                    \
        {0, NULL},                                                                                           \
    };                                                                                                       \
    static PyType_Spec lower##_spec = {                                                                      \
        .name = "saggar._saggar." #Upper,                                                                    \
        .basicsize = sizeof(Upper##Object),                                                                  \
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,                         \
        .slots = lower##_slots,                                                                              \
    }

VALUE_TYPE(record, Record,
           "Record(type, fields)\n--\n\nA record value: its type's name, and fields in order.");
VALUE_TYPE(map, Map, "Map(items)\n--\n\nA map whose order does not matter, from a dict.");
VALUE_TYPE(digest, Digest, "Digest(what, sha256)\n--\n\nStands for content that was digested.");
VALUE_TYPE(raw, Raw, "Raw(encoded)\n--\n\nBytes that are one canonical value already.");

int ext_types_add(PyObject *module, ext_state *state) {
    struct {
        PyType_Spec *spec;
        PyTypeObject **type;
    } all[] = {{&record_spec, &state->record},
               {&map_spec, &state->map},
               {&digest_spec, &state->digest},
               {&raw_spec, &state->raw}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i].type = (PyTypeObject *)PyType_FromModuleAndSpec(module, all[i].spec, NULL);
        if (*all[i].type == NULL || PyModule_AddType(module, *all[i].type) < 0) {
            return -1;
        }
    }
    return 0;
}
