/* Calls that do not come back: who asked goes on in time, and the job is taken away when they do. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/file.h"
#include "check.h"
#include "saggar/saggar.h"

static _Atomic int blocked, ran, dropped;

struct job {
    struct sg_job job;
    int ticks; /* before it is through */
};

static void run(struct sg_job *job) {
    for (int i = 0; i < ((struct job *)job)->ticks; i++) {
        usleep(40000);
        sg_job_tick();
    }
    while (atomic_load(&blocked))
        usleep(1000);
    atomic_fetch_add(&ran, 1);
}

static void drop(struct sg_job *job) {
    atomic_fetch_add(&dropped, 1);
    free(job);
}

static struct job *make(int ticks) {
    struct job *made = calloc(1, sizeof *made);
    assert_non_null(made);
    made->job.run = run;
    made->job.drop = drop;
    made->ticks = ticks;
    return made;
}

static void reset(int block) {
    atomic_store(&blocked, block);
    atomic_store(&ran, 0);
    atomic_store(&dropped, 0);
}

static void wait_for_drops(int n) {
    for (int i = 0; i < 5000 && atomic_load(&dropped) < n; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&dropped), n);
}

static void test_done(void **state) {
    struct sg_watch watch = {0};
    (void)state;
    reset(0);
    struct job *job = make(0);
    assert_int_equal(sg_job_run(&job->job, &watch, 10000), SAGGAR_OK);
    assert_int_equal(atomic_load(&ran), 1);
    assert_int_equal(atomic_load(&dropped), 0); /* the results are ours */
    drop(&job->job);
    assert_false(sg_watch_is_stuck(&watch));
}

static void test_stuck(void **state) {
    struct sg_watch watch = {0};
    (void)state;
    reset(1);
    uint64_t start = sg_now_ns(CLOCK_MONOTONIC);
    assert_int_equal(sg_job_run(&make(0)->job, &watch, 100), SAGGAR_ETIMEOUT);
    assert_true(sg_now_ns(CLOCK_MONOTONIC) - start >= UINT64_C(100000000));
    assert_true(sg_watch_is_stuck(&watch));
    /* Nobody else waits, nor asks. */
    assert_int_equal(sg_job_run(&make(0)->job, &watch, 3600000), SAGGAR_ETIMEOUT);
    assert_int_equal(atomic_load(&dropped), 1);
    atomic_store(&blocked, 0);
    wait_for_drops(2);
    assert_int_equal(atomic_load(&ran), 1);
    assert_false(sg_watch_is_stuck(&watch));
    struct job *job = make(0);
    assert_int_equal(sg_job_run(&job->job, &watch, 10000), SAGGAR_OK);
    drop(&job->job);
}

/* What must be done is done when the others come back. */
static void test_left(void **state) {
    struct sg_watch watch = {0};
    (void)state;
    reset(1);
    assert_int_equal(sg_job_run(&make(0)->job, &watch, 50), SAGGAR_ETIMEOUT);
    sg_job_leave(&make(0)->job, &watch);
    assert_int_equal(atomic_load(&ran), 0);
    atomic_store(&blocked, 0);
    wait_for_drops(2);
    assert_int_equal(atomic_load(&ran), 2);
    for (int i = 0; i < 5000 && sg_watch_is_stuck(&watch); i++)
        usleep(1000);
    assert_false(sg_watch_is_stuck(&watch));
}

/* What gets on is waited for, however long it takes. */
static void test_ticks(void **state) {
    struct sg_watch watch = {0};
    (void)state;
    reset(0);
    struct job *job = make(12);
    assert_int_equal(sg_job_run(&job->job, &watch, 300), SAGGAR_OK);
    drop(&job->job);
}

/* A child has none of its parent's calls. */
static void test_fork(void **state) {
    struct sg_watch watch = {0};
    int status;
    (void)state;
    reset(1);
    assert_int_equal(sg_job_run(&make(0)->job, &watch, 50), SAGGAR_ETIMEOUT);
    pid_t child = fork();
    if (child == 0) {
        if (sg_watch_is_stuck(&watch) || sg_job_run(&make(0)->job, &watch, 50) != SAGGAR_ETIMEOUT)
            _exit(1);
        if (!sg_watch_is_stuck(&watch))
            _exit(2);
        atomic_store(&blocked, 0);
        for (int i = 0; i < 5000 && sg_watch_is_stuck(&watch); i++)
            usleep(1000);
        _exit(sg_watch_is_stuck(&watch) ? 3 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(sg_watch_is_stuck(&watch));
    atomic_store(&blocked, 0);
    wait_for_drops(1);
    assert_false(sg_watch_is_stuck(&watch));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_done),  cmocka_unit_test(test_stuck), cmocka_unit_test(test_left),
        cmocka_unit_test(test_ticks), cmocka_unit_test(test_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
