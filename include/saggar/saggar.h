/*
 * libsaggar: a cache for compiled code.
 *
 * A compiler describes what it is about to compile as a *recipe*; the SHA-256 of the recipe is the *key*. Saggar finds
 * an *entry* that was published under that key and whose *requirements* hold on this host, in an ordered stack of
 * *tiers*: read-only *images* first, then one writable *store*. If there is none, the compiler compiles and publishes.
 *
 *     saggar_cache *cache;
 *     saggar_entry *entry;
 *     saggar_view code;
 *     uint8_t key[SAGGAR_KEY_SIZE];
 *
 *     saggar_recipe_finish(recipe, key, &bytes, &size);
 *     if (saggar_cache_find(cache, key, NULL, &entry, &reason) == SAGGAR_OK && entry != NULL) {
 *         saggar_entry_part(entry, "object", &code);          // verified bytes, no copy from an image
 *         ...
 *         saggar_view_release(&code);
 *         saggar_entry_release(entry);
 *     } else {                                                // a miss: `reason` says why
 *         saggar_cache_claim(cache, key, timeout_ms, &claim, &outcome);
 *         ... if outcome is SAGGAR_CLAIM_FREED: find again; else compile, saggar_cache_publish(cache, draft, NULL) ...
 *         saggar_claim_release(claim);
 *     }
 *
 * Rules that hold everywhere
 *  - Functions that can fail return a saggar_error: SAGGAR_OK (0) or a negative number. Out-parameters are written only
 *    on SAGGAR_OK unless said otherwise. A miss is not an error.
 *  - No fault of a cache is fatal: on any error the caller compiles as if there were no cache.
 *  - Bytes handed in are copied unless said otherwise; handles and views handed out are released by the caller.
 *  - Threads: a saggar_cache may be used by many threads at once. A recipe, encoder, draft, entry or view belongs to one
 *    thread at a time.
 *  - fork: every handle may be used in the child. Claims are not inherited: a claim handle in the child is inert.
 *    The library installs no signal handlers, never prints, and starts no threads that outlive a call, with one
 *    exception: a call to a network file system whose server does not answer stays behind when its time is over.
 *  - Names and lengths: text is UTF-8, `size_t` counts bytes. All limits are those of docs/FORMAT.md.
 */
#ifndef SAGGAR_H
#define SAGGAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define SAGGAR_VERSION_MAJOR 0
#define SAGGAR_VERSION_MINOR 1
#define SAGGAR_VERSION_PATCH 0
#define SAGGAR_VERSION "0.1.0"

#define SAGGAR_KEY_SIZE 32
#define SAGGAR_MAX_SLOTS 16

/** The version of the library in use, e.g. "0.1.0". Static. */
const char *saggar_version(void);

/* ---- Errors and reasons ------------------------------------------------------------------------------------------ */

/** Every error: name, value, message. One list makes the enum, the names and the messages. */
#define SAGGAR_ERROR_MAP(X)                                                                                            \
    X(OK, 0, "success")                                                                                                \
    X(EINVAL, -1, "invalid argument")                                                                                  \
    X(ENOMEM, -2, "out of memory")                                                                                     \
    X(EIO, -3, "input or output error")                                                                                \
    X(ELIMIT, -4, "a limit of the format or of the caller is exceeded")                                                \
    X(ECORRUPT, -5, "damaged: a digest, length or offset does not agree")                                              \
    X(EVERSION, -6, "made by a newer version of Saggar")                                                               \
    X(EUNKNOWN, -7, "holds a record that must be understood and is not known")                                         \
    X(EUNTRUSTED, -8, "not trusted: owned or writable by somebody else")                                               \
    X(ENOTFOUND, -9, "not found")                                                                                      \
    X(EEXISTS, -10, "exists already")                                                                                  \
    X(EACCESS, -11, "permission denied")                                                                               \
    X(ENOSPACE, -12, "no space left")                                                                                  \
    X(EREADONLY, -13, "read-only file system")                                                                         \
    X(EBUSY, -14, "in use")                                                                                            \
    X(ETIMEOUT, -15, "waited too long")                                                                                \
    X(EUNSUPPORTED, -16, "not supported here")                                                                         \
    X(ESYSTEM, -17, "system call failed")                                                                              \
    X(ENOTSAGGAR, -18, "not a Saggar file")

typedef enum saggar_error {
#define X(name, value, text) SAGGAR_##name = value,
    SAGGAR_ERROR_MAP(X)
#undef X
} saggar_error;

/** Message and name ("ECORRUPT") of an error. Static, never NULL. */
const char *saggar_strerror(int error);
const char *saggar_errname(int error);

/**
 * Why a lookup missed, an entry was passed over, or a function was not stored: name, value, word used in trails and
 * JSON, sentence. Closed: a new reason is a new row. Values never change.
 */
#define SAGGAR_REASON_MAP(X)                                                                                           \
    X(NONE, 0, "none", "no reason")                                                                                    \
    X(ABSENT, 1, "absent", "no tier has an entry under this key")                                                      \
    X(CORRUPT, 2, "corrupt", "the entry is damaged")                                                                   \
    X(VERSION, 3, "version", "the entry was made by a newer version of Saggar")                                        \
    X(UNKNOWN_RECORD, 4, "unknown-record", "the entry holds a record that must be understood and is not known")        \
    X(WRONG_KEY, 5, "wrong-key", "the entry lies under a name that is not its key")                                    \
    X(ARCHITECTURE, 6, "architecture", "the code is for another architecture or ABI")                                  \
    X(FEATURES, 7, "features", "this processor lacks a feature that the code needs")                                   \
    X(SYMBOLS, 8, "symbols", "a symbol that the code needs is not there")                                              \
    X(LIBRARY, 9, "library", "a system library is too old")                                                            \
    X(DEPENDENCY, 10, "dependency", "something that the code was built from has changed")                              \
    X(UNTRUSTED, 11, "untrusted", "the tier is not trusted")                                                           \
    X(IO, 12, "io", "the tier could not be read")                                                                      \
    X(DISABLED, 13, "disabled", "the cache is switched off")                                                           \
    X(UNCACHEABLE, 14, "uncacheable", "the function cannot be cached")                                                 \
    X(NOT_MARKED, 15, "not-marked", "the function's author did not mark it for caching")                               \
    X(SYMBOL_CONFLICT, 16, "symbol-conflict", "another body is loaded under the same symbol name")                     \
    X(CLAIM_TIMEOUT, 17, "claim-timeout", "waited too long for another process that compiles it")                      \
    X(PUBLISH_FAILED, 18, "publish-failed", "the entry could not be stored")                                           \
    X(RECOMPILE, 19, "recompile", "the program asked for a fresh compilation")                                         \
    X(CRASHED, 20, "crashed", "the first use of the entry ended in a crash")                                           \
    X(LOAD_FAILED, 21, "load-failed", "the compiler did not accept the entry")

typedef enum saggar_reason {
#define X(name, value, word, text) SAGGAR_REASON_##name = value,
    SAGGAR_REASON_MAP(X)
#undef X
} saggar_reason;

/** The word ("features") and the sentence of a reason. Static, never NULL. */
const char *saggar_reason_word(saggar_reason reason);
const char *saggar_reason_text(saggar_reason reason);

/* ---- Processors -------------------------------------------------------------------------------------------------- */

typedef enum saggar_arch {
    SAGGAR_ARCH_ANY = 0,
    SAGGAR_ARCH_X86_64 = 1,
    SAGGAR_ARCH_AARCH64 = 2,
    SAGGAR_ARCH_OTHER = 255
} saggar_arch;

/** How the features of an entry are known. */
typedef enum saggar_provenance {
    SAGGAR_PROVENANCE_NONE = 0,
    SAGGAR_PROVENANCE_SCANNED = 1,  /**< the machine code was disassembled */
    SAGGAR_PROVENANCE_DECLARED = 2, /**< the compiler's target without tuning hints */
    SAGGAR_PROVENANCE_ASSUMED = 3   /**< everything that the compiling host has */
} saggar_provenance;

/** A set of ISA features of one architecture. Bit i is bit i%64 of word[i/64]; indexes as in src/isa/features.tsv. */
typedef struct saggar_features {
    uint64_t word[4];
} saggar_features;

/** The architecture that this library was built for. */
saggar_arch saggar_host_arch(void);

/**
 * What this processor can run: CPUID (or HWCAP) and what the operating system enables, below the ceiling SAGGAR_TARGET
 * if that is set. Probed once per process, no system call later.
 * Errors: EINVAL if SAGGAR_TARGET names nothing known (`*out` is then the host without a ceiling).
 */
int saggar_host_features(saggar_features *out);

/** True if every feature of `needed` is in `active`. */
bool saggar_features_subset(const saggar_features *needed, const saggar_features *active);

/**
 * The set that a compiler's target stands for: a CPU model or level name (LLVM, GCC, "native", "x86-64-v3",
 * "x86_64 :: level :: v3"; NULL or "" for the baseline) and then LLVM's feature string ("+avx2,-fma", NULL for none);
 * later items win, "+x" brings what x implies, "-x" takes away what implies x. Tuning hints are dropped.
 * `unknown` (may be NULL): a malloc'd comma-separated list of "+names" that are not known, NULL if there are none; the
 * caller frees it. Errors: ENOTFOUND if the model is not known, or is "native" for another architecture than this one's;
 * EINVAL for a malformed string; EUNSUPPORTED if `arch` is neither x86-64 nor AArch64; ENOMEM. Thread-safe.
 */
int saggar_features_parse(saggar_arch arch, const char *cpu, const char *features, saggar_features *out, char **unknown);

/**
 * Reduces the set of a target to what code for it can need: hints and what the operating system manages go always; for
 * DECLARED also what compilers use only where the source asks for it (aes, rdseed, amx-*), so pass ASSUMED if the source may
 * ask. Call it on what saggar_features_parse() gave before saggar_draft_require_features().
 */
void saggar_features_required(saggar_arch arch, saggar_provenance provenance, saggar_features *set);

/** Canonical names in canonical order, comma-separated, malloc'd into `*out`; the caller frees. */
int saggar_features_names(saggar_arch arch, const saggar_features *set, char **out);

/* ---- Canonical values and recipes ---------------------------------------------------------------------------------- */

/**
 * Encodes one value after another (docs/FORMAT.md section 2). Errors are sticky: check the result of the last call, or
 * saggar_encoder_error(). Containers are opened with their kind and closed with saggar_encode_end(); sets and maps are
 * sorted when they are closed, and a set with two equal members or a map with two equal first values is refused (EINVAL).
 */
typedef struct saggar_encoder saggar_encoder;

typedef enum saggar_container {
    SAGGAR_LIST = 0x09,
    SAGGAR_TUPLE = 0x0A,
    SAGGAR_SET = 0x0B,
    SAGGAR_FROZENSET = 0x0C,
    SAGGAR_MAP = 0x0D,         /**< first, second, first, second ... in any order */
    SAGGAR_ORDERED_MAP = 0x0E, /**< first, second ... in the order that counts */
    SAGGAR_RECORD = 0x0F       /**< opened by saggar_encode_record(); each value preceded by saggar_encode_name() */
} saggar_container;

int saggar_encoder_new(saggar_encoder **out);
void saggar_encoder_free(saggar_encoder *e);
/** Forgets everything encoded and every error; keeps its memory. */
void saggar_encoder_reset(saggar_encoder *e);
int saggar_encoder_error(const saggar_encoder *e);
/** The bytes so far, owned by the encoder and valid until its next call. EINVAL while a container is open. */
int saggar_encoder_bytes(const saggar_encoder *e, const uint8_t **bytes, size_t *size);

int saggar_encode_none(saggar_encoder *e);
int saggar_encode_bool(saggar_encoder *e, bool value);
int saggar_encode_int(saggar_encoder *e, int64_t value);
/** An integer outside int64: sign and magnitude, least significant byte first. Shortened to its one encoding. */
int saggar_encode_bigint(saggar_encoder *e, bool negative, const uint8_t *magnitude, size_t size);
int saggar_encode_float(saggar_encoder *e, double value);
int saggar_encode_complex(saggar_encoder *e, double real, double imaginary);
int saggar_encode_bytes(saggar_encoder *e, const void *bytes, size_t size);
/** EINVAL if the bytes are not the UTF-8 of FORMAT.md section 1. */
int saggar_encode_text(saggar_encoder *e, const char *text, size_t size);
int saggar_encode_digest(saggar_encoder *e, const char *what, const uint8_t digest[32]);
int saggar_encode_back_reference(saggar_encoder *e, uint32_t level);
int saggar_encode_begin(saggar_encoder *e, saggar_container kind);
int saggar_encode_record(saggar_encoder *e, const char *type);
int saggar_encode_name(saggar_encoder *e, const char *name);
int saggar_encode_end(saggar_encoder *e);
/** Copies bytes that are already one whole canonical value. They are checked: EINVAL if they are not. */
int saggar_encode_raw(saggar_encoder *e, const void *bytes, size_t size);
/** Starts dtype (0x10), array (0x11) or array scalar (0x14): the dtype's value follows, then saggar_encode_array_data(). */
int saggar_encode_dtype(saggar_encoder *e);
int saggar_encode_array(saggar_encoder *e);
int saggar_encode_array_scalar(saggar_encoder *e);
/** After an array's dtype value: order, flags, extents, items. After an array scalar's: only items (ndim 0, rest ignored). */
int saggar_encode_array_data(saggar_encoder *e, uint8_t order, uint8_t flags, const uint64_t *extents, uint32_t ndim,
                             const void *items, size_t size);

/** Checks that bytes are exactly one canonical value. ECORRUPT, ELIMIT or OK. */
int saggar_value_check(const void *bytes, size_t size);
/** Prints a value for people, on one line, cut after about `limit` bytes; malloc'd, the caller frees. */
int saggar_value_print(const void *bytes, size_t size, size_t limit, char **out);

/** The ordered, named inputs that decide a piece of code. */
typedef struct saggar_recipe saggar_recipe;

int saggar_recipe_new(saggar_recipe **out);
void saggar_recipe_free(saggar_recipe *r);
/** Appends a field whose value is `value` (exactly one canonical value). EINVAL: bad or repeated name, bad value. */
int saggar_recipe_field(saggar_recipe *r, const char *name, const void *value, size_t size);
/**
 * Ends the recipe: its key and its bytes (owned by the recipe, valid until it is freed; may be NULL).
 * EINVAL if `adapter`, `compiler`, `source` or `options` is missing.
 */
int saggar_recipe_finish(saggar_recipe *r, uint8_t key[SAGGAR_KEY_SIZE], const uint8_t **bytes, size_t *size);
/** Number of fields, and field i of recipe bytes; all pointers into `bytes`. ECORRUPT if malformed. */
int saggar_recipe_count(const void *bytes, size_t size, uint32_t *count);
int saggar_recipe_get(const void *bytes, size_t size, uint32_t i, const char **name, size_t *name_size,
                      const uint8_t **value, size_t *value_size);

/* ---- Drafts: entries that are about to be published ---------------------------------------------------------------- */

typedef struct saggar_draft saggar_draft;

/** A draft for the recipe. Copies the recipe's bytes. */
int saggar_draft_new(const void *recipe, size_t size, saggar_draft **out);
void saggar_draft_free(saggar_draft *d);
/** What a person would call the function. */
int saggar_draft_group(saggar_draft *d, const char *compiler, const char *module, const char *qualname);
int saggar_draft_require_arch(saggar_draft *d, saggar_arch arch, const char *abi);
/** `set`: as saggar_features_required() left it. `unknown`: comma-separated names without an index, or NULL. */
int saggar_draft_require_features(saggar_draft *d, saggar_provenance provenance, const saggar_features *set,
                                  const char *unknown);
/** Adds one undefined symbol. May be called many times. */
int saggar_draft_require_symbol(saggar_draft *d, const char *name);
int saggar_draft_require_library(saggar_draft *d, const char *name, const char *version);
int saggar_draft_depend_file(saggar_draft *d, const char *root, const char *path, uint64_t size, const uint8_t sha256[32]);
int saggar_draft_depend_distribution(saggar_draft *d, const char *name, const char *version);
int saggar_draft_depend_value(saggar_draft *d, const char *resolver, const char *name, const uint8_t digest[32]);
int saggar_draft_depend_code(saggar_draft *d, const char *resolver, const char *name, const uint8_t digest[32]);
/** A part. The name is 1 to 47 bytes of UTF-8 without control characters. EEXISTS if the draft has it already. */
int saggar_draft_part(saggar_draft *d, const char *name, const void *bytes, size_t size);
/** Annex: how long the compilation took, in seconds. Not part of the identity. */
int saggar_draft_seconds(saggar_draft *d, double seconds);
/** The core's bytes (malloc'd, the caller frees), key and identity (may be NULL). For tests and transports. */
int saggar_draft_encode(saggar_draft *d, uint8_t **core, size_t *size, uint8_t identity[32]);

/* ---- The cache ----------------------------------------------------------------------------------------------------- */

typedef struct saggar_cache saggar_cache;
typedef struct saggar_entry saggar_entry;
typedef struct saggar_claim saggar_claim;

/** Bytes lent out. Valid until released; released before the entry that it came from or after, both are fine. */
typedef struct saggar_view {
    const uint8_t *data;
    size_t size;
    void *owner; /**< private */
} saggar_view;

/**
 * Options of a cache. Set every field by saggar_cache_options_init() first; it takes the defaults from the environment:
 * SAGGAR_MODE, SAGGAR_DIR, SAGGAR_IMAGE, SAGGAR_IMAGE_PATH, SAGGAR_WAIT (read by secure_getenv).
 */
typedef struct saggar_cache_options {
    size_t struct_size;       /**< sizeof of the caller's struct; set by init */
    const char *store;        /**< the store's directory, one; NULL: SAGGAR_DIR (and the further ones
                                   in it, which are only read) or its default; "": no store */
    const char *images;       /**< colon-separated image files, searched first; NULL: SAGGAR_IMAGE */
    const char *prefix;       /**< share/saggar/<name>.saggar below it is searched after `images`, colon-separated prefixes */
    bool read_only;           /**< never publish */
    int64_t wait_ms;          /**< the longest wait for a claim; -1: SAGGAR_WAIT or 60,000 */
    const char *features;     /**< comma-separated LLVM names that the caller vouches for beyond the host probe, or NULL */
    void *reserved[4];        /**< NULL */
} saggar_cache_options;

void saggar_cache_options_init(saggar_cache_options *options);
/** Which option or variable makes saggar_cache_open() refuse these options with EINVAL ("SAGGAR_WAIT"); NULL: none. Static. */
const char *saggar_cache_options_wrong(const saggar_cache_options *options);

/**
 * Opens the stack of tiers. A tier that is missing, damaged or not trusted is left out and noted (saggar_cache_tier).
 * An image is mapped and only its header is read. A store's directory is made when the first entry is published.
 * Errors: EINVAL (options, or an unknown value in the environment), ENOMEM.
 */
int saggar_cache_open(const saggar_cache_options *options, saggar_cache **out);
/** Entries and views that are still held stay valid. */
void saggar_cache_close(saggar_cache *cache);

/** One tier of the stack, in search order. Strings live as long as the cache. */
typedef struct saggar_tier_info {
    const char *kind;   /**< "image", "store" */
    const char *path;
    bool active;        /**< searched */
    bool trusted;
    const char *note;   /**< why it is not active or not trusted, "" if nothing is to be said */
    uint64_t entries;   /**< images: number of entries; stores: 0 */
} saggar_tier_info;

/** Tier i; ENOTFOUND past the last one. Tiers that were left out are listed too. */
int saggar_cache_tier(const saggar_cache *cache, unsigned i, saggar_tier_info *out);

/** Answers that only the adapter can give, for dependencies. NULL members: a dependency of that kind does not hold. */
typedef struct saggar_resolver {
    void *context;
    /** The digest that value or code `name` has now, into `digest`. Not 0: unknown. */
    int (*digest)(void *context, bool code, const char *resolver, const char *name, uint8_t digest[32]);
    /** The version of a distribution that is installed now, into `version` (size `n`). Not 0: unknown. */
    int (*distribution)(void *context, const char *name, char *version, size_t n);
    /** The directory that a root's name stands for now, into `path` (size `n`). Not 0: unknown. */
    int (*root)(void *context, const char *root, char *path, size_t n);
    /** True if the symbol can be bound now. NULL: symbols are not checked by the cache. */
    bool (*symbol)(void *context, const char *name);
} saggar_resolver;

/**
 * Looks the key up: the first tier that has a usable candidate wins, and within it the best variant (widest vectors,
 * then most features, then the smallest identity). Lock-free and read-only; from an image without a system call.
 * On OK `*out` is the entry or NULL, and `*reason` says why it is NULL: the most telling reason met, ABSENT if no
 * candidate was there at all. `detail` (may be NULL; size SAGGAR_DETAIL_SIZE) gets what exactly, e.g. "avx512f,avx512bw".
 */
#define SAGGAR_DETAIL_SIZE 256
int saggar_cache_find(saggar_cache *cache, const uint8_t key[SAGGAR_KEY_SIZE], const saggar_resolver *resolver,
                      saggar_entry **out, saggar_reason *reason, char *detail);

/** The tier that the entry came from. Lives as long as the cache. */
const char *saggar_entry_tier(const saggar_entry *entry);
void saggar_entry_identity(const saggar_entry *entry, uint8_t identity[32]);
/** A part's raw bytes, verified. ENOTFOUND: no such part. ECORRUPT: damaged; the entry is set aside, treat it as a miss. */
int saggar_entry_part(saggar_entry *entry, const char *name, saggar_view *out);
/** The recipe's bytes, verified. */
int saggar_entry_recipe(saggar_entry *entry, saggar_view *out);

/** What one dependency is, as the draft's functions take them. */
typedef enum saggar_dependency_kind {
    SAGGAR_DEPEND_FILE = 1,         /**< scope: root; name: path; size and sha256 of the content */
    SAGGAR_DEPEND_DISTRIBUTION = 2, /**< scope: distribution; name: version */
    SAGGAR_DEPEND_VALUE = 3,        /**< scope: resolver; name; sha256: the digest */
    SAGGAR_DEPEND_CODE = 4          /**< as VALUE */
} saggar_dependency_kind;

/** One dependency. What a kind does not have is 0 or NULL. The texts and the digest live during the call only. */
typedef struct saggar_dependency {
    saggar_dependency_kind kind;
    const char *scope, *name;
    uint64_t size;
    const uint8_t *sha256; /**< 32 bytes */
} saggar_dependency;

/**
 * Calls `each` for every dependency of an entry, in the entry's order; stops at the first non-zero result and returns
 * it. For adapters: what is built from an entry depends on what the entry depends on. EUNKNOWN: one is of a kind that
 * is not listed here (an adapter then stores nothing that was built from it). ECORRUPT.
 */
int saggar_entry_dependencies(saggar_entry *entry, int (*each)(void *context, const saggar_dependency *dependency),
                              void *context);

/** Sets the entry aside for this process (the compiler did not accept it): the next find passes over it. */
void saggar_entry_reject(saggar_entry *entry);
void saggar_entry_release(saggar_entry *entry);
void saggar_view_release(saggar_view *view);

/** What came of asking for a claim. */
typedef enum saggar_claim_outcome {
    SAGGAR_CLAIM_OWNED = 0, /**< nobody else compiles it: compile, publish, release */
    SAGGAR_CLAIM_FREED = 1, /**< somebody did and is done: owned now, but find again before compiling */
    SAGGAR_CLAIM_NONE = 2   /**< waited too long, would wait for each other, or no locks here: compile without a claim */
} saggar_claim_outcome;

/**
 * Announces that this process is about to compile the key, and waits while another process or thread does. The wait is
 * bounded by the cache's wait_ms (or `wait_ms` if that is >= 0) and ends at once when the owner dies. `*out` may be
 * released with saggar_claim_release() whatever the outcome. A lock is never needed for a correct result.
 * Release the interpreter's lock around this call: it may block.
 */
int saggar_cache_claim(saggar_cache *cache, const uint8_t key[SAGGAR_KEY_SIZE], int64_t wait_ms, saggar_claim **out,
                       saggar_claim_outcome *outcome);
void saggar_claim_release(saggar_claim *claim);

/**
 * Publishes the draft in the store. OK if it or an equal entry is there now. Other variants under the key stay.
 * Errors tell why nothing was stored (ENOSPACE, EREADONLY, EACCESS, EUNTRUSTED, EIO, ...); nothing already stored is lost.
 */
int saggar_cache_publish(saggar_cache *cache, saggar_draft *draft, uint8_t identity[32]);

/* ---- Trees: directories as entries ----------------------------------------------------------------------------------- */

/**
 * A directory tree is one part of an entry, named "tree": regular files (executable or not), directories, and symbolic
 * links that stay inside. No times, owners, other bits of the mode or paths outside are kept; the same tree packs to the
 * same bytes. A finished tree lies read-only under a name taken from its content, in a directory that only this user (or
 * root) may write to. SAGGAR_TREES, if it is set, is the only one; else, each where the one before cannot be used:
 *   a store that is written to:  v1/trees in it, then $XDG_RUNTIME_DIR/saggar/trees;
 *   no store, or only read:      $XDG_RUNTIME_DIR/saggar/trees, then saggar-trees in $XDG_CACHE_HOME or ~/.cache.
 * What of these lies on a network file system is left out, since files that run from there can be taken away by another
 * machine: then saggar-trees-<uid> in TMPDIR or /tmp comes last.
 * At last it is a private directory below TMPDIR (/tmp, /var/tmp, /dev/shm) that goes when the handle is released.
 * Before a finished tree is given out, each file in it is compared with the entry; a tree that was changed is replaced.
 */
typedef struct saggar_tree saggar_tree;

/**
 * Packs a directory as the draft's tree, and records what the shared objects in it require: architecture (unless the draft
 * has one), the version of the C library, and needed libraries with their versions, except those in the tree. A needed
 * library that the dynamic linker finds here must be found where the entry is used, with these versions: its file is
 * looked for as the linker does and read, and nothing is loaded. One that is not found here is recorded and not checked;
 * so is every library (but the C library) that an object with an RPATH or RUNPATH of its own needs, since where the entry
 * is used that path may be what leads to it. What an object loads by itself later is not known.
 * EINVAL: something that cannot be packed; `detail` (SAGGAR_DETAIL_SIZE bytes, may be NULL) names it. ELIMIT. ECORRUPT:
 * the directory changed meanwhile.
 */
int saggar_draft_tree(saggar_draft *d, const char *directory, char *detail);

/**
 * Places the tree of an entry, or finds it placed. ENOTFOUND: the entry has none. ECORRUPT: it is malformed (nothing was
 * written): treat it as a miss. Else an error of the system: there is no place to put it (EACCESS, ENOSPACE, ...).
 */
int saggar_entry_tree(saggar_entry *entry, saggar_tree **out, char *detail);

/**
 * One file of an entry's tree in memory alone, where nothing can be placed: `path` is relative to the tree's root, `*fd` a
 * sealed memory file that nobody can change, closed on exec; the caller closes it. dlopen("/proc/self/fd/<fd>") loads it, under
 * that name, and without the tree around it. ENOTFOUND: no tree, or no such name; EINVAL: not a regular file (links are not
 * followed); ECORRUPT; EUNSUPPORTED: no memory files here; ENOSPACE: larger than RLIMIT_FSIZE allows.
 */
int saggar_entry_tree_file(saggar_entry *entry, const char *path, int *fd);

/** Where the tree lies: an absolute path, valid until the handle is released. */
const char *saggar_tree_path(const saggar_tree *tree);
/** True if later processes find it placed; false: it is private to this handle, and goes with it. */
bool saggar_tree_is_shared(const saggar_tree *tree);
/**
 * Ends the use of a tree. Hold the handle as long as files of it are opened: a collection leaves a tree that is held
 * alone (on file systems without locks: for a day). What is mapped or loaded already stays valid. In a forked child a
 * private tree is the parent's: releasing the handle there removes nothing.
 */
void saggar_tree_release(saggar_tree *tree);

/** How a tree is built that no tier has. Set every other member to zero. */
typedef struct saggar_build {
    size_t struct_size; /**< sizeof of the caller's struct */
    /** The group. */
    const char *compiler, *module, *qualname;
    /**
     * Builds into `directory`: empty, private (mode 0700), its path is another one each time. May add requirements,
     * dependencies and further parts to the draft. Not 0: the build failed; whatever is in the directory is removed.
     * Runs while a claim is held: it must not ask for the same recipe.
     */
    int (*build)(void *context, const char *directory, saggar_draft *draft);
    void *context;
    const saggar_resolver *resolver; /**< for finding; may be NULL */
    int64_t wait_ms;                 /**< the longest wait for another builder; 0: the cache's, below 0: none */
    /** Called about twice a second while another builder is waited for: not 0 ends the wait, and is returned. May be NULL. */
    int (*waiting)(void *context);
    void *reserved[4];
} saggar_build;

/** What came of it. `detail`: why it was not found or not stored, "" if there is nothing to be said. */
typedef struct saggar_built {
    bool built;           /**< `build` ran to its end in this call; else the tree was found */
    bool stored;          /**< the entry is in a tier now */
    saggar_reason reason; /**< NONE, or why it was built: of the miss */
    int error;            /**< why it could not be stored */
    char detail[SAGGAR_DETAIL_SIZE];
    uint8_t identity[32]; /**< of the entry, if it is stored */
} saggar_built;

/**
 * A finished tree for a recipe, built once among all processes that see the store. Looks the recipe up; on a miss claims
 * it, waits while another process builds it (bounded; a builder that fails or dies is followed by the next at once), and
 * else calls `build`, packs and publishes what it made, and places it. Without a claim (waited too long, no locks, no
 * store) it builds all the same, and where somebody published meanwhile that tree is used. Where the result cannot be
 * packed or stored it is given out as it is, private to the handle. A build that fails or is killed leaves
 * nothing that is ever found; what it wrote is removed at once, or by the next build.
 * Errors: what `build` or `waiting` returned; EINVAL; ENOMEM; an error of the system if there is no directory to build in. `info` (may
 * be NULL) is written whatever the result. Hits, misses, builds, waits and what was stored are recorded in the trail.
 * Release the interpreter's lock around this call: it may block.
 */
int saggar_get_or_build(saggar_cache *cache, const void *recipe, size_t size, const saggar_build *build, saggar_tree **out,
                        saggar_built *info);

/* ---- Mappings: keys and values of any bytes, written once ------------------------------------------------------------- */

/**
 * A mapping keeps values under keys, both any bytes, as entries of a cache: read from images and the store, written to the
 * store, verified, collected, listed and baked as all entries are. Many processes and threads may use one at once, also
 * after a fork. A value is written once: it is never changed under a reader.
 */
typedef struct saggar_mapping saggar_mapping;

/**
 * The mapping `name` in a cache: mappings of different names share nothing. Makes nothing and looks at nothing. The cache
 * may be closed before the mapping is freed. EINVAL: the name is not UTF-8; ELIMIT; ENOMEM.
 */
int saggar_mapping_new(saggar_cache *cache, const char *name, saggar_mapping **out);
void saggar_mapping_free(saggar_mapping *m);

/** The value's verified bytes. ENOTFOUND: there is none, or none that can be read. ENOMEM. */
int saggar_mapping_get(saggar_mapping *m, const void *key, size_t key_size, saggar_view *out);
/** True if there is an entry under the key. Its value was not looked at: get may still not find it. */
bool saggar_mapping_contains(saggar_mapping *m, const void *key, size_t key_size);
/**
 * Keeps a value. OK too if an equal one is there. EEXISTS: another one is there, and stays; to put a new one in its place
 * delete it first. Two processes that put different values at once are told apart by the key's claim where there are
 * locks. Else why nothing was stored, as saggar_cache_publish() has it.
 */
int saggar_mapping_put(saggar_mapping *m, const void *key, size_t key_size, const void *value, size_t size);
/** Takes a key and its value away. ENOTFOUND: there was none. EREADONLY: it is in an image, or the store is not written. */
int saggar_mapping_delete(saggar_mapping *m, const void *key, size_t key_size);
/**
 * Calls `each` for every key, in the order of the keys' digests, for the keys that there were at the call; stops at the
 * first non-zero result and returns it. Reads every entry of every tier: meant for tools, not for the hot path.
 */
int saggar_mapping_each(saggar_mapping *m, int (*each)(void *context, const void *key, size_t key_size), void *context);
/** Number of keys. Costs what saggar_mapping_each() costs. */
int saggar_mapping_length(saggar_mapping *m, uint64_t *out);
/** The cache's key that a key of the mapping has: for saggar_cache_claim(), to compute a value only once. */
int saggar_mapping_key(saggar_mapping *m, const void *key, size_t key_size, uint8_t out[SAGGAR_KEY_SIZE]);

/* ---- Symbols: equal name must mean equal code ---------------------------------------------------------------------- */

/**
 * The registry of this process: the first digest under a name is kept; a second, different one is refused (EEXISTS).
 * Fork-safe and thread-safe; grows only.
 */
int saggar_symbol_register(const char *name, const uint8_t digest[32]);

/**
 * Reads the symbol table of an ELF64 relocatable object. Calls `each` for every global or weak symbol: `defined`, and
 * `common` for tentative definitions. Stops at the first non-zero result and returns it. ECORRUPT: not such an object.
 */
int saggar_object_symbols(const void *object, size_t size,
                          int (*each)(void *context, const char *name, bool defined, bool common), void *context);

/* ---- The system's compilers ------------------------------------------------------------------------------------------ */

enum { SAGGAR_TOOLCHAIN_NAME = 128 };

/** A compiler, told apart by the content of what it runs. */
typedef struct saggar_toolchain {
    char path[4096];                  /**< the driver, as it was found */
    char name[SAGGAR_TOOLCHAIN_NAME]; /**< for people: "gcc 12 x86_64-linux-gnu" */
    uint8_t sha256[32];               /**< its identity: driver, compiler proper, assembler, linker, the headers' versions */
} saggar_toolchain;

/**
 * Which compiler a command is ("g++", "ccache /opt/bin/g++ -m64"; NULL or "": the C++ compiler that CMake would take),
 * looked for in `list` (as PATH; NULL: PATH itself). Nothing is run. Compiler caches in front of it are passed over. Reads
 * the whole compiler: keep the result. Errors: ENOTFOUND, and those of reading. Thread-safe.
 */
int saggar_toolchain_find(const char *command, const char *list, saggar_toolchain *out);

/**
 * The processor that a compiler's flags name, as saggar_features_parse() takes it: `*cpu` ("" for the baseline, "native"
 * too where a flag might choose instructions and is not known) and `*features`, both malloc'd. Errors: ELIMIT, ENOMEM.
 */
int saggar_flags_target(const char *flags, char **cpu, char **features);

/* ---- The trail: what a process did ----------------------------------------------------------------------------------- */

typedef enum saggar_event {
    SAGGAR_EVENT_ADAPTER = 1,     /**< an adapter became active (flag ACTIVE) or turned itself off; text: name, version, why */
    SAGGAR_EVENT_HIT = 2,         /**< served; text: group; detail: tier */
    SAGGAR_EVENT_MISS = 3,        /**< asked for, not there; text: group; detail: what differs; blob: recipe bytes */
    SAGGAR_EVENT_COMPILED = 4,    /**< a compilation ran to its end; text: group; value: nanoseconds; flags below */
    SAGGAR_EVENT_PUBLISHED = 5,   /**< stored; text: group */
    SAGGAR_EVENT_NOT_STORED = 6,  /**< compiled and not stored; reason and detail say why */
    SAGGAR_EVENT_FAULT = 7,       /**< a tier or the adapter failed; detail says how */
    SAGGAR_EVENT_WAITED = 8,      /**< waited for another process; value: nanoseconds; reason: NONE or CLAIM_TIMEOUT */
    SAGGAR_EVENT_RANDOM_NAME = 9  /**< a symbol got a random name because its content is in doubt; text: group */
} saggar_event;

#define SAGGAR_FLAG_USED 1u      /**< asked for by the program itself, not merely linked into a caller */
#define SAGGAR_FLAG_CACHEABLE 2u /**< its author marked it for caching (or the user asked for all) */
#define SAGGAR_FLAG_ACTIVE 4u
#define SAGGAR_FLAG_NESTED 8u    /**< ran inside another compilation */
#define SAGGAR_FLAG_STARTING 16u /**< ADAPTER: the import of the compiler begins; ACTIVE or "off" follows when it is done */

/** One event. Unused members are zero. Text and detail are cut at 4 KiB, the blob is left out above 64 KiB. */
typedef struct saggar_trail_event {
    saggar_event event;
    uint32_t flags;
    saggar_reason reason;
    uint64_t value;
    const uint8_t *key; /**< SAGGAR_KEY_SIZE bytes or NULL */
    const char *group;  /**< "compiler:module:qualname" or free text; UTF-8 */
    const char *detail;
    const void *blob;
    size_t blob_size;
} saggar_trail_event;

/**
 * Records an event of this process. Under SAGGAR_TRAIL=<directory> (set by `saggar run`, `warm` and `verify`) into a
 * preallocated mapped file: no system call, survives SIGKILL, a new file after fork. Otherwise misses and what was not
 * stored go to one size-bounded file in the state directory ($XDG_STATE_HOME/saggar), and hits are only counted.
 * A miss that is absent after this thread waited too long for the same key is recorded with CLAIM_TIMEOUT.
 * Never fails visibly: what cannot be recorded is counted, and the trail is marked incomplete.
 */
void saggar_trail_record(const saggar_trail_event *event);
/** Ends the trail of this process in good order (called at exit by adapters). */
void saggar_trail_close(void);
/** Counters of this process since its start, by event (index saggar_event, 16 values). */
void saggar_trail_counts(uint64_t counts[16]);

/* ---- Images -------------------------------------------------------------------------------------------------------- */

/** Writes an image. Entries may be added in any order; equal ones are added once. */
typedef struct saggar_image_writer saggar_image_writer;

int saggar_image_writer_new(saggar_image_writer **out);
void saggar_image_writer_free(saggar_image_writer *w);
/** Adds an entry, given as the bytes of its core (an annex behind it is dropped). Copied. Checked in full first. */
int saggar_image_writer_add(saggar_image_writer *w, const void *core, size_t size);
/** Adds one line of provenance. Only from explicit arguments: it becomes part of the bytes. */
int saggar_image_writer_provenance(saggar_image_writer *w, const char *name, const char *text);
/**
 * Writes the image to `path`, mode 0444, by a temporary file and rename. `sha256` (may be NULL): of the whole file.
 * EINVAL: something lies there that is neither a file nor a link.
 */
int saggar_image_writer_write(saggar_image_writer *w, const char *path, uint8_t sha256[32]);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif /* SAGGAR_H */
