/* Names and messages of every error, made from the one list in the public header; the version. Static text.
 */
#include "base/err.h"

#include <errno.h>
#include <stddef.h>

#include "saggar/saggar.h"

const char *saggar_version(void) {
    return SAGGAR_VERSION;
}

const char *saggar_errname(int error) {
    switch (error) {
#define X(name, value, text)                                                                                 \
    case (value):                                                                                            \
        return #name;
        SAGGAR_ERROR_MAP(X)
#undef X
    default:
        return "UNKNOWN";
    }
}

const char *saggar_strerror(int error) {
    switch (error) {
#define X(name, value, text)                                                                                 \
    case (value):                                                                                            \
        return text;
        SAGGAR_ERROR_MAP(X)
#undef X
    default:
        return "unknown error";
    }
}

static const struct {
    int from;
    int to;
} errno_map[] = {
    {0, SAGGAR_OK},
    {EINVAL, SAGGAR_EINVAL},
    {ENAMETOOLONG, SAGGAR_EINVAL},
    {ENOTDIR, SAGGAR_EINVAL},
    {EISDIR, SAGGAR_EINVAL},
    {ELOOP, SAGGAR_EINVAL},
    {ENXIO, SAGGAR_EINVAL}, /* a socket, or a FIFO without its other end, opened as a file */
    {ENOMEM, SAGGAR_ENOMEM},
    {EIO, SAGGAR_EIO},
    {ESTALE, SAGGAR_EIO},
    {EFBIG, SAGGAR_ELIMIT},
    {EOVERFLOW, SAGGAR_ELIMIT},
    {EMFILE, SAGGAR_ELIMIT},
    {ENFILE, SAGGAR_ELIMIT},
    {EMLINK, SAGGAR_ELIMIT},
    {ENOENT, SAGGAR_ENOTFOUND},
    {EEXIST, SAGGAR_EEXISTS},
    {EACCES, SAGGAR_EACCESS},
    {EPERM, SAGGAR_EACCESS},
    {ENOSPC, SAGGAR_ENOSPACE},
    {EDQUOT, SAGGAR_ENOSPACE},
    {EROFS, SAGGAR_EREADONLY},
    {EBUSY, SAGGAR_EBUSY},
    {EAGAIN, SAGGAR_EBUSY},
    {EDEADLK, SAGGAR_EBUSY},
    {ETIMEDOUT, SAGGAR_ETIMEOUT},
    {ENOSYS, SAGGAR_EUNSUPPORTED},
    {EOPNOTSUPP, SAGGAR_EUNSUPPORTED},
    {EXDEV, SAGGAR_EUNSUPPORTED},
    {ENOLCK, SAGGAR_EUNSUPPORTED},
};

int sg_err_from_errno(int err) {
    for (size_t i = 0; i < sizeof errno_map / sizeof errno_map[0]; i++) {
        if (errno_map[i].from == err)
            return errno_map[i].to;
    }
    return SAGGAR_ESYSTEM;
}
