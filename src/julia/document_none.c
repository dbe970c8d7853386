/* Instead of document.cpp, where its libraries were missing when this was built. */
#include <stdio.h>

#include "julia/document.h"

bool sg_doc_possible(void) {
    return false;
}

struct sg_doc *sg_doc_toml(const char *bytes, size_t size, char *why, size_t room) {
    (void)bytes;
    (void)size;
    snprintf(why, room, "this saggar was built without toml11 and nlohmann-json");
    return NULL;
}

struct sg_doc *sg_doc_json(const char *bytes, size_t size, char *why, size_t room) {
    return sg_doc_toml(bytes, size, why, room);
}
