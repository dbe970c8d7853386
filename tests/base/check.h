/* What every C test includes: cmocka with the headers that it needs before it. */
#ifndef SG_TESTS_CHECK_H
#define SG_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/*
 * True where the allocator is the address sanitizer's: its locks do not survive a fork while another thread allocates, so
 * tests that fork beside busy threads wait for the threads first. The plain build runs them as they are meant.
 */
#if defined(__SANITIZE_ADDRESS__)
#define SG_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SG_TEST_ASAN 1
#endif
#endif
#ifndef SG_TEST_ASAN
#define SG_TEST_ASAN 0
#endif

#endif
