/*
 * A small program for test_kill.py: one publish, one lookup, or a look at what is left.
 *
 *   publisher publish STORE I VARIANT   prints "published" or the error; always ends with 0, as a program
 * with a cache does publisher lookup STORE I            one lookup; prints the number of candidates publisher
 * look STORE I              prints each variant that is served whole; ends with 1 if anything else is served
 *   publisher mend STORE I VARIANT      collects with age 0, publishes, and looks; ends with 1 unless all of
 * it works
 *   publisher bake FILE I VARIANT       writes an image of one entry; prints and ends as publish does
 *   publisher image FILE I              checks an image and prints the variant that it holds
 *
 * Calls of access() mark where the interesting part begins and ends in a trace.
 */
#include "../entries.h"
#include "image/image.h"
#include "store/store.h"

enum { VARIANTS = 4 };

static void mark(const char *name) {
    if (access(name, F_OK) == 0)
        abort();
}

static int publish(struct sg_tier *tier, const struct made *m) {
    static const char annex[] = "no annex that anybody knows";
    struct sg_buf core = {.data = m->core, .len = m->size, .cap = m->size, .max = SIZE_MAX};
    struct sg_buf tail = {.max = SIZE_MAX};
    sg_buf_add(&tail, annex, sizeof annex);
    mark("/publish-begins");
    int err = tier->ops->publish(tier, m->key, m->identity, &core, &tail);
    mark("/publish-ends");
    sg_buf_free(&tail);
    return err;
}

/* How often exactly this entry is served, whatever else lies under its key. */
static unsigned served(struct sg_tier *tier, const struct made *m) {
    struct sg_candidate out[SAGGAR_MAX_SLOTS];
    unsigned n, good = 0;
    NEED(tier->ops->find(tier, m->key, out, &n, NULL, NULL) == SAGGAR_OK);
    for (unsigned k = 0; k < n; k++) {
        if (memcmp(out[k].view.identity, m->identity, 32) == 0)
            good += parts_good(&out[k].view, m, SG_FAST);
        tier->ops->release(&out[k]);
    }
    return good;
}

static void look(struct sg_tier *tier, unsigned i) {
    struct made all[VARIANTS];
    struct faults f;
    for (unsigned v = 0; v < VARIANTS; v++) {
        all[v] = make_entry(i, v, SAGGAR_ARCH_ANY, 9000);
        if (served(tier, &all[v]) > 0)
            printf("%u ", v);
    }
    (void)find_good(tier, all[0].key, all, VARIANTS, &f); /* ends the program if anything else is served */
    printf("\n");
    for (unsigned v = 0; v < VARIANTS; v++)
        free(all[v].core);
}

static int mend(const char *store, struct sg_tier *tier, const struct made *m) {
    struct sg_gc_options options = {
        .max_bytes = SG_GC_UNBOUNDED, .max_age = SG_GC_UNBOUNDED, .litter_age = 0};
    struct sg_gc_stats stats;
    int err = sg_store_gc(store, &options, &stats);
    if ((err != SAGGAR_OK && err != SAGGAR_ENOTFOUND) || stats.failed != 0) {
        printf("gc: %s, %u failed\n", saggar_errname(err), (unsigned)stats.failed);
        return 1;
    }
    err = publish(tier, m);
    unsigned n = served(tier, m);
    if (err != SAGGAR_OK || n == 0) {
        printf("publish: %s, %u found\n", saggar_errname(err), n);
        return 1;
    }
    return 0;
}

static int bake(const char *path, const struct made *m) {
    saggar_image_writer *w;
    NEED(saggar_image_writer_new(&w) == SAGGAR_OK &&
         saggar_image_writer_add(w, m->core, m->size) == SAGGAR_OK);
    mark("/publish-begins");
    int err = saggar_image_writer_write(w, path, NULL);
    mark("/publish-ends");
    saggar_image_writer_free(w);
    return err;
}

static int image(const char *path, unsigned i) {
    struct sg_tier *tier;
    if (access(path, F_OK) == 0 && sg_image_check(path, NULL, NULL, NULL) != SAGGAR_OK)
        return 1;
    if (sg_image_open(path, &tier) != SAGGAR_OK)
        return 1;
    look(tier, i);
    tier->ops->close(tier);
    return 0;
}

int main(int argc, char **argv) {
    struct sg_tier *tier;
    int result = 0;
    if (argc < 4 || sg_store_open(argv[2], false, &tier) != SAGGAR_OK)
        return 2;
    unsigned i = (unsigned)strtoul(argv[3], NULL, 10);
    unsigned variant = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
    struct made m = make_entry(i, variant, SAGGAR_ARCH_ANY, 9000);
    if (strcmp(argv[1], "publish") == 0) {
        int err = publish(tier, &m);
        printf("%s\n", err == SAGGAR_OK ? "published" : saggar_errname(err));
    } else if (strcmp(argv[1], "lookup") == 0) {
        struct sg_candidate out[SAGGAR_MAX_SLOTS];
        unsigned n;
        for (unsigned turn = 0; turn < 2; turn++) {
            mark("/lookup-begins");
            tier->ops->find(tier, m.key, out, &n, NULL, NULL);
            mark("/lookup-ends");
            for (unsigned k = 0; k < n; k++)
                tier->ops->release(&out[k]);
        }
        printf("%u\n", n);
    } else if (strcmp(argv[1], "bake") == 0) {
        int err = bake(argv[2], &m);
        printf("%s\n", err == SAGGAR_OK ? "published" : saggar_errname(err));
    } else if (strcmp(argv[1], "image") == 0) {
        result = image(argv[2], i);
    } else if (strcmp(argv[1], "look") == 0) {
        look(tier, i);
    } else {
        look(tier, i);
        fflush(stdout);
        result = mend(argv[2], tier, &m);
    }
    tier->ops->close(tier);
    free(m.core);
    return result;
}
