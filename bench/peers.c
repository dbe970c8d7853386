/*
 * The peers in C, with the same keys and objects: loose files, and LMDB where it is installed.
 *
 *     bench-peers FOLDER loose|lmdb
 *
 * Loose files are read with open, fstat, read, close into fresh memory and written by temporary file and
 * rename. LMDB is asked as a cache would: one read transaction renewed per lookup; its objects are not
 * digested, as it has no digests.
 */
#include "bench.h"

#include <sys/stat.h>
#ifdef HAVE_LMDB
#include <lmdb.h>
#endif

static char folder[400];
static uint8_t object[OBJECT];
static bool sync_it;

static void path_of(unsigned i, bool there, char path[512]) {
    uint64_t k[4];
    object_bytes(i, there, (uint8_t *)k, sizeof k);
    snprintf(path, 512, "%s/%02x/%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64, folder,
             (unsigned)(k[0] & 255), k[0], k[1], k[2], k[3]);
}

static void loose_put(void *context, unsigned i) {
    char path[512], temporary[512];
    (void)context;
    path_of(i, true, path);
    snprintf(temporary, sizeof temporary, "%.400s/tmp-%u", folder, i);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    NEED(fd >= 0 && write(fd, object, OBJECT) == OBJECT && (!sync_it || fdatasync(fd) == 0) &&
         close(fd) == 0);
    NEED(rename(temporary, path) == 0);
}

static void loose_hit(void *context, unsigned i) {
    char path[512];
    struct stat st;
    (void)context;
    path_of(i, true, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    NEED(fd >= 0 && fstat(fd, &st) == 0);
    uint8_t *bytes = malloc((size_t)st.st_size);
    NEED(bytes != NULL && read(fd, bytes, (size_t)st.st_size) == st.st_size && close(fd) == 0);
    free(bytes);
}

static void loose_miss(void *context, unsigned i) {
    char path[512];
    (void)context;
    path_of(i, false, path);
    NEED(open(path, O_RDONLY | O_CLOEXEC) < 0);
}

static void loose(void) {
    char path[512];
    snprintf(folder + strlen(folder), 16, "/loose");
    NEED(mkdir(folder, 0700) == 0);
    for (unsigned k = 0; k < 256; k++) {
        snprintf(path, sizeof path, "%s/%02x", folder, k);
        NEED(mkdir(path, 0700) == 0);
    }
    timed_each("loose files put, without fdatasync", KEYS, loose_put, NULL);
    sync_it = true;
    timed_each("loose files put", KEYS, loose_put, NULL);
    timed("loose files hit", PASSES, KEYS, loose_hit, NULL);
    timed("loose files miss", PASSES, KEYS, loose_miss, NULL);
}

#ifdef HAVE_LMDB
static MDB_env *env;
static MDB_txn *reading;
static MDB_dbi table;

static void key_of(unsigned i, bool there, uint64_t k[4], MDB_val *key) {
    object_bytes(i, there, (uint8_t *)k, 32);
    *key = (MDB_val){32, k};
}

static void lmdb_put(void *context, unsigned i) {
    MDB_txn *txn;
    MDB_val key, value = {OBJECT, object};
    uint64_t k[4];
    (void)context;
    key_of(i, true, k, &key);
    NEED(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_put(txn, table, &key, &value, 0) == 0 &&
         mdb_txn_commit(txn) == 0);
}

static void lmdb_get(unsigned i, bool there) {
    MDB_val key, value;
    uint64_t k[4];
    key_of(i, there, k, &key);
    NEED(mdb_txn_renew(reading) == 0);
    NEED(mdb_get(reading, table, &key, &value) == (there ? 0 : MDB_NOTFOUND));
    mdb_txn_reset(reading);
}

static void lmdb_hit(void *context, unsigned i) {
    (void)context;
    lmdb_get(i, true);
}

static void lmdb_miss(void *context, unsigned i) {
    (void)context;
    lmdb_get(i, false);
}

static void lmdb_open(void *context, unsigned i) {
    MDB_txn *txn;
    (void)context;
    (void)i;
    NEED(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, (size_t)1 << 30) == 0 &&
         mdb_env_open(env, folder, MDB_NOTLS, 0600) == 0);
    NEED(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &table) == 0 &&
         mdb_txn_commit(txn) == 0);
}

static void lmdb_open_close(void *context, unsigned i) {
    lmdb_open(context, i);
    mdb_env_close(env);
}

static void lmdb(void) {
    snprintf(folder + strlen(folder), 16, "/lmdb");
    NEED(mkdir(folder, 0700) == 0);
    lmdb_open(NULL, 0);
    mdb_env_set_flags(env, MDB_NOSYNC, 1);
    timed_each("LMDB put, without fdatasync", KEYS, lmdb_put, NULL);
    mdb_env_set_flags(env, MDB_NOSYNC, 0);
    timed_each("LMDB put", KEYS, lmdb_put, NULL);
    NEED(mdb_txn_begin(env, NULL, MDB_RDONLY, &reading) == 0);
    mdb_txn_reset(reading);
    timed("LMDB hit", PASSES, KEYS, lmdb_hit, NULL);
    timed("LMDB miss", PASSES, KEYS, lmdb_miss, NULL);
    mdb_txn_abort(reading);
    mdb_env_close(env);
    timed("LMDB open and close, 1000", PASSES, 50, lmdb_open_close, NULL);
}
#endif

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    snprintf(folder, sizeof folder - 16, "%s", argv[1]);
    object_bytes(1, 0, object, OBJECT);
    if (strcmp(argv[2], "loose") == 0)
        loose();
#ifdef HAVE_LMDB
    else if (strcmp(argv[2], "lmdb") == 0)
        lmdb();
#endif
    else
        return 77;
    return 0;
}
