/* The one list of errors gives every name and message; errno values map into it. */
#include "check.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "saggar/saggar.h"

static const struct {
    int error;
    int value;
    const char *name;
    const char *text;
} list[] = {
#define X(name, value, text) {SAGGAR_##name, value, #name, text},
    SAGGAR_ERROR_MAP(X)
#undef X
};

static void test_list(void **state) {
    (void)state;
    size_t n = sizeof list / sizeof list[0];
    assert_int_equal(list[0].error, 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(list[i].error, -(int)i); /* values never change, and none is left out */
        assert_string_equal(saggar_errname(list[i].error), list[i].name);
        assert_string_equal(saggar_strerror(list[i].error), list[i].text);
        assert_true(strlen(list[i].text) > 3);
    }
    assert_string_equal(saggar_errname(SAGGAR_ECORRUPT), "ECORRUPT");
    assert_string_equal(saggar_errname(1), "UNKNOWN");
    assert_string_equal(saggar_errname(-(int)n), "UNKNOWN");
    assert_string_equal(saggar_strerror(-9999), "unknown error");
    assert_string_equal(saggar_version(), SAGGAR_VERSION);
}

static void test_errno(void **state) {
    (void)state;
    assert_int_equal(sg_err_from_errno(0), SAGGAR_OK);
    assert_int_equal(sg_err_from_errno(ENOENT), SAGGAR_ENOTFOUND);
    assert_int_equal(sg_err_from_errno(EEXIST), SAGGAR_EEXISTS);
    assert_int_equal(sg_err_from_errno(EACCES), SAGGAR_EACCESS);
    assert_int_equal(sg_err_from_errno(EPERM), SAGGAR_EACCESS);
    assert_int_equal(sg_err_from_errno(ENOSPC), SAGGAR_ENOSPACE);
    assert_int_equal(sg_err_from_errno(EDQUOT), SAGGAR_ENOSPACE);
    assert_int_equal(sg_err_from_errno(EROFS), SAGGAR_EREADONLY);
    assert_int_equal(sg_err_from_errno(ENOMEM), SAGGAR_ENOMEM);
    assert_int_equal(sg_err_from_errno(ELOOP), SAGGAR_EINVAL);
    assert_int_equal(sg_err_from_errno(ESTALE), SAGGAR_EIO);
    assert_int_equal(sg_err_from_errno(EXDEV), SAGGAR_EUNSUPPORTED);
    assert_int_equal(sg_err_from_errno(ENOTSUP), SAGGAR_EUNSUPPORTED);
    assert_int_equal(sg_err_from_errno(ETIMEDOUT), SAGGAR_ETIMEOUT);
    assert_int_equal(sg_err_from_errno(123456), SAGGAR_ESYSTEM);
    for (int e = 1; e < 140; e++)
        assert_true(sg_err_from_errno(e) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list), cmocka_unit_test(test_errno)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
