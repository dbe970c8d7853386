/* Words and sentences of the reasons, made from the one list in the public header. Static text. */
#include "saggar/saggar.h"

const char *saggar_reason_word(saggar_reason reason) {
    switch (reason) {
#define X(name, value, word, text)                                                                           \
    case SAGGAR_REASON_##name:                                                                               \
        return word;
        SAGGAR_REASON_MAP(X)
#undef X
    default:
        return "unknown";
    }
}

const char *saggar_reason_text(saggar_reason reason) {
    switch (reason) {
#define X(name, value, word, text)                                                                           \
    case SAGGAR_REASON_##name:                                                                               \
        return text;
        SAGGAR_REASON_MAP(X)
#undef X
    default:
        return "unknown reason";
    }
}
