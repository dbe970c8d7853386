/* The trail of this process: words to events, and the counters back. Recording fails for nothing but a wrong
 * argument. */
#include "ext.h"

#include <string.h>

static const struct {
    const char *word;
    saggar_event event;
} events[] = {
    {"adapter", SAGGAR_EVENT_ADAPTER},
    {"hit", SAGGAR_EVENT_HIT},
    {"miss", SAGGAR_EVENT_MISS},
    {"compiled", SAGGAR_EVENT_COMPILED},
    {"published", SAGGAR_EVENT_PUBLISHED},
    {"not-stored", SAGGAR_EVENT_NOT_STORED},
    {"fault", SAGGAR_EVENT_FAULT},
    {"waited", SAGGAR_EVENT_WAITED},
    {"random-name", SAGGAR_EVENT_RANDOM_NAME},
};
#define EVENTS (sizeof events / sizeof *events)

static int event_of(const char *word, saggar_event *out) {
    for (size_t i = 0; i < EVENTS; i++) {
        if (strcmp(events[i].word, word) == 0) {
            *out = events[i].event;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "unknown event '%s'", word);
    return -1;
}

static int reason_of(const char *word, saggar_reason *out) {
    static const saggar_reason reasons[] = {
#define X(name, value, word, text) SAGGAR_REASON_##name,
        SAGGAR_REASON_MAP(X)
#undef X
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (strcmp(saggar_reason_word(reasons[i]), word) == 0) {
            *out = reasons[i];
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "unknown reason '%s'", word);
    return -1;
}

/** UTF-8 up to the first zero byte; what UTF-8 cannot say is replaced. Owned bytes in *keep. */
static const char *any_text(PyObject *text, PyObject **keep) {
    if (text == NULL) {
        return "";
    }
    *keep = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    return *keep == NULL ? NULL : PyBytes_AS_STRING(*keep);
}

static PyObject *trail(PyObject *module, PyObject *args, PyObject *names) {
    (void)module;
    static char *keywords[] = {"event", "flags", "reason", "value", "key", "group", "detail", "blob", NULL};
    const char *word, *reason = "none";
    unsigned long long value = 0;
    unsigned flags = 0;
    PyObject *key = Py_None, *group = NULL, *detail = NULL, *bytes = Py_None, *kept[2] = {NULL, NULL};
    Py_buffer blob = {.buf = NULL};
    if (!PyArg_ParseTupleAndKeywords(args, names, "s|$IsKOUUO:trail", keywords, &word, &flags, &reason,
                                     &value, &key, &group, &detail, &bytes) ||
        (bytes != Py_None && PyObject_GetBuffer(bytes, &blob, PyBUF_SIMPLE) < 0)) {
        return NULL;
    }
    saggar_trail_event event = {.flags = flags, .value = value, .blob = blob.buf};
    event.blob_size = blob.buf == NULL ? 0 : (size_t)blob.len;
    PyObject *result = NULL;
    if (event_of(word, &event.event) == 0 && reason_of(reason, &event.reason) == 0 &&
        (key == Py_None || (event.key = ext_digest(key, "key")) != NULL) &&
        (event.group = any_text(group, &kept[0])) != NULL &&
        (event.detail = any_text(detail, &kept[1])) != NULL) {
        saggar_trail_record(&event);
        result = Py_NewRef(Py_None);
    }
    Py_XDECREF(kept[0]);
    Py_XDECREF(kept[1]);
    PyBuffer_Release(&blob);
    return result;
}

static PyObject *trail_close(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    saggar_trail_close();
    Py_RETURN_NONE;
}

static PyObject *trail_counts(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    uint64_t counts[16];
    saggar_trail_counts(counts);
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < EVENTS; i++) {
        PyObject *n = PyLong_FromUnsignedLongLong(counts[events[i].event]);
        if (n == NULL || PyDict_SetItemString(dict, events[i].word, n) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(n);
    }
    return dict;
}

PyMethodDef ext_trail_methods[] = {
    {"trail", (PyCFunction)(void (*)(void))trail, METH_VARARGS | METH_KEYWORDS,
     "trail(event, *, flags=0, reason='none', value=0, key=None, group='', detail='', blob=None)\n--\n\n"
     "Records an event of this process."},
    {"trail_close", trail_close, METH_NOARGS,
     "trail_close()\n--\n\nEnds the trail of this process in good order."},
    {"trail_counts", trail_counts, METH_NOARGS,
     "trail_counts()\n--\n\nThe events of this process so far, by word."},
    {NULL, NULL, 0, NULL},
};
