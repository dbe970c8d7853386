/*
 * What a compiler's flags say about the processor: -march, -mcpu and -mFEATURE. Only ever more is required
 * than needed: a word that might choose instructions and is not known stands for all that this host has.
 */
#include <fnmatch.h>
#include <saggar/saggar.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 256, FEATURES = 1024 };

struct target {
    saggar_arch arch;
    char cpu[WORD];
    char features[FEATURES]; /**< ",+avx2,-fma" */
};

/* Words with -m that choose no instructions: how addresses and code look, tuning, what is on anyway. */
static bool is_harmless(const char *word) {
    static const char *const known[] = {"-m64",
                                        "-mcmodel=*",
                                        "-mtune=*",
                                        "-mno-red-zone",
                                        "-mtls-*",
                                        "-mfpmath=*",
                                        "-mbranch-cost=*",
                                        "-mprefer-vector-width=*",
                                        "-mrecip*",
                                        "-mno-recip",
                                        "-mvzeroupper",
                                        "-mno-vzeroupper",
                                        "-mstackrealign",
                                        "-mindirect-branch*",
                                        "-mfunction-return=*",
                                        "-mbranch-protection=*",
                                        "-mno-omit-leaf-frame-pointer",
                                        "-momit-leaf-frame-pointer",
                                        "-mlong-double-*",
                                        "-mabi=*",
                                        "-mlittle-endian",
                                        "-mveclibabi=*",
                                        "-malign-*",
                                        "-mpreferred-stack-*"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (fnmatch(known[i], word, 0) == 0)
            return true;
    }
    return false;
}

static bool add_feature(struct target *t, char sign, const char *name) {
    saggar_features set;
    char item[WORD + 2], *unknown = NULL;
    snprintf(item, sizeof item, "+%s", name);
    bool known = saggar_features_parse(t->arch, "", item, &set, &unknown) == SAGGAR_OK && unknown == NULL;
    free(unknown);
    size_t n = strlen(t->features);
    if (known && n + strlen(item) + 2 < sizeof t->features) {
        item[0] = sign;
        snprintf(t->features + n, sizeof t->features - n, "%s%s", n > 0 ? "," : "", item);
    }
    return known;
}

/* -march=armv8.2-a+sve+nocrypto, -mcpu=neoverse-n1: the model, and what is added to it. */
static void set_model(struct target *t, char *text) {
    char *plus = strchr(text, '+');
    t->features[0] = '\0';
    snprintf(t->cpu, sizeof t->cpu, "%.*s", (int)strcspn(text, "+"), text);
    while (plus != NULL) {
        *plus++ = '\0';
        char *next = strchr(plus, '+');
        if (next != NULL)
            *next = '\0';
        bool no = strncmp(plus, "no", 2) == 0 && strcmp(plus, "norm") != 0;
        if (!add_feature(t, no ? '-' : '+', no ? plus + 2 : plus) && !no)
            snprintf(t->cpu, sizeof t->cpu, "native");
        plus = next;
    }
}

static void word(struct target *t, char *text) {
    if (strncmp(text, "-march=", 7) == 0) {
        set_model(t, text + 7);
    } else if (strncmp(text, "-mcpu=", 6) == 0) {
        if (t->arch == SAGGAR_ARCH_AARCH64)
            set_model(t, text + 6);
    } else if (strncmp(text, "-mno-", 5) == 0) {
        (void)add_feature(t, '-', text + 5);
    } else if (text[0] == '-' && text[1] == 'm' && !is_harmless(text) && !add_feature(t, '+', text + 2)) {
        snprintf(t->cpu, sizeof t->cpu, "native");
    }
}

int saggar_flags_target(const char *flags, char **cpu, char **features) {
    struct target t = {.arch = saggar_host_arch()};
    static const char ends[] = " \t\r\n\"'";
    if (flags == NULL || cpu == NULL || features == NULL)
        return SAGGAR_EINVAL;
    for (const char *at = flags + strspn(flags, ends); *at != '\0'; at += strspn(at, ends)) {
        char text[WORD];
        size_t n = strcspn(at, ends);
        if (at[0] == '-' && n > 1 && at[1] == 'm') {
            if (n >= sizeof text)
                return SAGGAR_ELIMIT;
            memcpy(text, at, n);
            text[n] = '\0';
            word(&t, text);
        }
        at += n;
    }
    *cpu = strdup(t.cpu);
    *features = strdup(t.features);
    if (*cpu != NULL && *features != NULL)
        return SAGGAR_OK;
    free(*cpu);
    free(*features);
    return SAGGAR_ENOMEM;
}
