/* Recipes, processors and symbols: functions of the library that need no object. */
#include "ext.h"

#include <stdlib.h>
#include <string.h>

/* ---- recipes ---- */

static int add_field(ext_state *state, saggar_recipe *recipe, PyObject *field) {
    if (!PyTuple_Check(field) || PyTuple_GET_SIZE(field) != 2 || !PyBytes_Check(PyTuple_GET_ITEM(field, 1))) {
        PyErr_SetString(PyExc_TypeError, "a field must be a tuple of a str and encoded bytes");
        return -1;
    }
    PyObject *value = PyTuple_GET_ITEM(field, 1);
    const char *name = ext_text(PyTuple_GET_ITEM(field, 0), "a field's name");
    if (name == NULL) {
        return -1;
    }
    int err = saggar_recipe_field(recipe, name, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    if (err != SAGGAR_OK) {
        ext_raise(state, err, name);
    }
    return err == SAGGAR_OK ? 0 : -1;
}

static PyObject *finish(ext_state *state, saggar_recipe *recipe) {
    uint8_t key[SAGGAR_KEY_SIZE];
    const uint8_t *bytes;
    size_t size;
    int err = saggar_recipe_finish(recipe, key, &bytes, &size);
    return err == SAGGAR_OK
               ? Py_BuildValue("(y#y#)", key, (Py_ssize_t)sizeof key, bytes, (Py_ssize_t)size)
               : ext_raise(state, err,
                           err == SAGGAR_EINVAL ? "a mandatory field of the recipe is missing" : NULL);
}

static PyObject *recipe(PyObject *module, PyObject *fields) {
    ext_state *state = ext_state_of_module(module);
    saggar_recipe *made;
    PyObject *fast = PySequence_Fast(fields, "the fields of a recipe must be a list");
    if (fast == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    int err = saggar_recipe_new(&made);
    if (err != SAGGAR_OK) {
        ext_raise(state, err, NULL);
    } else {
        for (Py_ssize_t i = 0; err == 0 && i < PySequence_Fast_GET_SIZE(fast); i++) {
            err = add_field(state, made, PySequence_Fast_GET_ITEM(fast, i));
        }
        result = err == 0 ? finish(state, made) : NULL;
        saggar_recipe_free(made);
    }
    Py_DECREF(fast);
    return result;
}

PyMethodDef ext_recipe_methods[] = {
    {"recipe", recipe, METH_O, "recipe(fields, /)\n--\n\n(key, recipe bytes) of encoded fields in order."},
    {NULL, NULL, 0, NULL},
};

/* ---- processors ---- */

/** Steals `names`, which malloc gave. */
static PyObject *text_of(char *names) {
    PyObject *text = PyUnicode_FromString(names == NULL ? "" : names);
    free(names);
    return text;
}

static PyObject *host_features(PyObject *module, PyObject *unused) {
    (void)unused;
    saggar_features set;
    char *names = NULL;
    int err = saggar_host_features(&set);
    if (err == SAGGAR_OK) {
        err = saggar_features_names(saggar_host_arch(), &set, &names);
    }
    return err == SAGGAR_OK ? text_of(names) : ext_raise(ext_state_of_module(module), err, "host features");
}

static PyObject *parse_features(PyObject *module, PyObject *args) {
    const char *cpu, *features;
    saggar_features set;
    char *names = NULL, *unknown = NULL;
    if (!PyArg_ParseTuple(args, "ss:parse_features", &cpu, &features)) {
        return NULL;
    }
    int err = saggar_features_parse(saggar_host_arch(), cpu, features, &set, &unknown);
    if (err == SAGGAR_OK) {
        err = saggar_features_names(saggar_host_arch(), &set, &names);
        if (err != SAGGAR_OK) {
            free(unknown);
        }
    }
    if (err != SAGGAR_OK) {
        return ext_raise(ext_state_of_module(module), err, cpu);
    }
    PyObject *known = text_of(names), *others = text_of(unknown);
    if (known == NULL || others == NULL) {
        Py_XDECREF(known);
        Py_XDECREF(others);
        return NULL;
    }
    return Py_BuildValue("(NN)", known, others);
}

/* ---- compilers ---- */

static PyObject *toolchain(PyObject *module, PyObject *args, PyObject *names) {
    static char *keywords[] = {"command", "list", NULL};
    const char *command = NULL, *list = NULL;
    saggar_toolchain found;
    int err;
    if (!PyArg_ParseTupleAndKeywords(args, names, "|zz:toolchain", keywords, &command, &list)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS;
    err = saggar_toolchain_find(command, list, &found);
    Py_END_ALLOW_THREADS;
    if (err == SAGGAR_ENOTFOUND) {
        Py_RETURN_NONE;
    }
    if (err != SAGGAR_OK) {
        return ext_raise(ext_state_of_module(module), err, "toolchain");
    }
    return Py_BuildValue("(Nsy#)", PyUnicode_DecodeFSDefault(found.path), found.name, found.sha256,
                         (Py_ssize_t)32);
}

static PyObject *flags_target(PyObject *module, PyObject *flags) {
    char *cpu, *features;
    const char *text = ext_text(flags, "flags");
    if (text == NULL) {
        return NULL;
    }
    int err = saggar_flags_target(text, &cpu, &features);
    if (err != SAGGAR_OK) {
        return ext_raise(ext_state_of_module(module), err, "flags");
    }
    PyObject *result = Py_BuildValue("(ss)", cpu, features);
    free(cpu);
    free(features);
    return result;
}

/* ---- symbols ---- */

static PyObject *register_symbol(PyObject *module, PyObject *args) {
    const char *name;
    PyObject *digest;
    if (!PyArg_ParseTuple(args, "sO:register_symbol", &name, &digest) ||
        ext_digest(digest, "digest") == NULL) {
        return NULL;
    }
    int err = saggar_symbol_register(name, (const uint8_t *)PyBytes_AS_STRING(digest));
    if (err != SAGGAR_OK && err != SAGGAR_EEXISTS) {
        return ext_raise(ext_state_of_module(module), err, name);
    }
    return PyBool_FromLong(err == SAGGAR_OK);
}

static int append_symbol(void *context, const char *name, bool defined, bool common) {
    PyObject *text = PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "surrogateescape");
    PyObject *row = text == NULL
                        ? NULL
                        : PyTuple_Pack(3, text, defined ? Py_True : Py_False, common ? Py_True : Py_False);
    int err = row == NULL ? -1 : PyList_Append(context, row);
    Py_XDECREF(text);
    Py_XDECREF(row);
    return err;
}

static PyObject *object_symbols(PyObject *module, PyObject *object) {
    Py_buffer view;
    PyObject *list = PyList_New(0);
    if (list == NULL || PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0) {
        Py_XDECREF(list);
        return NULL;
    }
    int err = saggar_object_symbols(view.buf, (size_t)view.len, append_symbol, list);
    PyBuffer_Release(&view);
    if (err != SAGGAR_OK) {
        Py_CLEAR(list);
        if (!PyErr_Occurred()) {
            ext_raise(ext_state_of_module(module), err, NULL);
        }
    }
    return list;
}

PyMethodDef ext_host_methods[] = {
    {"host_features", host_features, METH_NOARGS,
     "host_features()\n--\n\nWhat this processor can run, comma-separated."},
    {"parse_features", parse_features, METH_VARARGS,
     "parse_features(cpu, features, /)\n--\n\n(canonical names, unknown names) of a CPU model and an LLVM "
     "feature string."},
    {"toolchain", (PyCFunction)(void (*)(void))toolchain, METH_VARARGS | METH_KEYWORDS,
     "toolchain(command=None, list=None)\n--\n\n(path, name, identity) of the compiler that a command is, or "
     "None."},
    {"flags_target", flags_target, METH_O,
     "flags_target(flags, /)\n--\n\n(CPU model, LLVM feature string) that a compiler's flags name."},
    {"register_symbol", register_symbol, METH_VARARGS,
     "register_symbol(name, digest, /)\n--\n\nFalse if another digest is registered under the name."},
    {"object_symbols", object_symbols, METH_O,
     "object_symbols(obj, /)\n--\n\n(name, defined, common) of each symbol of a relocatable ELF64 object."},
    {NULL, NULL, 0, NULL},
};
