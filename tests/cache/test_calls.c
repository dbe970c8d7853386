/*
 * System calls, counted: opening an image costs the same number whether it holds 10 entries or 100,000, and a
 * hit or a miss in it costs none. The counting is done from outside, by ptrace, between two calls that no
 * kernel knows.
 */
#include <elf.h>
#include <signal.h>
#include <sys/ptrace.h>

#include "make.h"

enum { MARK = 0x7ab0, FEW = 10, MANY = 100000 };

struct look {
    const char *image;
    int64_t entries;
    bool find; /* count the lookups, not the opening */
};

static void mark(void) {
    (void)!syscall(MARK);
}

static int child(const struct look *l) {
    uint8_t there[32], absent[32];
    saggar_entry *entry;
    saggar_reason reason;
    saggar_view view;
    make_key(l->entries - 1, there);
    make_key(-1, absent);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        return 77;
    raise(SIGSTOP);
    if (!l->find)
        mark();
    saggar_cache *cache = open_cache(l->image, "");
    if (!l->find) {
        mark();
        return 0;
    }
    mark();
    for (int i = 0; i < 2; i++) { /* the first touch, and another */
        if (saggar_cache_find(cache, there, NULL, &entry, &reason, NULL) != SAGGAR_OK || entry == NULL)
            return 1;
        if (saggar_entry_part(entry, "object", &view) != SAGGAR_OK || view.size != 6)
            return 2;
        saggar_view_release(&view);
        saggar_entry_release(entry);
        if (saggar_cache_find(cache, absent, NULL, &entry, &reason, NULL) != SAGGAR_OK || entry != NULL)
            return 3;
    }
    mark();
    return 0;
}

/* The system calls between the marks; -1: not allowed to trace here. */
static int count_calls(struct look l) {
    int status, marks = 0, calls = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(child(&l));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        return -1;
    assert_true(WIFSTOPPED(status));
    assert_int_equal(
        ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)), 0);
    for (long deliver = 0;; deliver = 0) {
        struct __ptrace_syscall_info info;
        assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, (void *)deliver), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSTOPPED(status))
            break;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) > 0);
        if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        if (info.entry.nr == MARK)
            marks++;
        else if (marks == 1)
            calls++;
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(marks, 2);
    return calls;
}

static void make_entries(const char *path, int n) {
    saggar_image_writer *w;
    must(saggar_image_writer_new(&w));
    for (int i = 0; i < n; i++) {
        uint8_t *core;
        size_t size;
        saggar_draft *d = make_draft(i, "object");
        must(saggar_draft_encode(d, &core, &size, NULL));
        must(saggar_image_writer_add(w, core, size));
        free(core);
        saggar_draft_free(d);
    }
    must(saggar_image_writer_write(w, path, NULL));
    saggar_image_writer_free(w);
}

static void test_calls(void **state) {
    (void)state;
    char *few = path_in("few.saggar"), *many = path_in("many.saggar");
    make_entries(few, FEW);
    make_entries(many, MANY);
    int calls = count_calls((struct look){few, FEW, false});
    if (calls < 0)
        skip();
    assert_true(calls > 0);
    assert_int_equal(count_calls((struct look){many, MANY, false}), calls);
    assert_int_equal(count_calls((struct look){few, FEW, true}), 0);
    assert_int_equal(count_calls((struct look){many, MANY, true}), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {MAKE_CASE(test_calls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
