/* What every C test includes: cmocka with the headers that it needs before it. */
#ifndef SG_TESTS_CHECK_H
#define SG_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
