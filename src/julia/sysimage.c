/*
 * What is in the system image of Julia 1.5, whose cache files do not tell and which no file describes.
 *
 * The list is that of a real 1.5.3 (Debian 11). Build ids are not known: they are not compared then.
 */
#include "julia/judge.h"

static const struct sg_julia_id modules_1_5[] = {
    {{0, 0}, "Base"},
    {{UINT64_C(0x2a0f44e36c8355bd), UINT64_C(0x87e4b1978d98bd5f)}, "Base64"},
    {{UINT64_C(0x8bf52ea8c1795cab), UINT64_C(0x976a9e18b702a9bc)}, "CRC32c"},
    {{0, 0}, "Core"},
    {{UINT64_C(0xade2ca7038915945), UINT64_C(0x98fbdc099432e06a)}, "Dates"},
    {{UINT64_C(0x8bb1440f4735579b), UINT64_C(0xa4ab409b98df4dab)}, "DelimitedFiles"},
    {{UINT64_C(0x8ba89e20285c5b6f), UINT64_C(0x935794700520ee1b)}, "Distributed"},
    {{UINT64_C(0x7b1f6079737a58dc), UINT64_C(0xb8bc7a2ca5c1b5ee)}, "FileWatching"},
    {{UINT64_C(0x9fa8497b333b5362), UINT64_C(0x9e8d4d0656e87820)}, "Future"},
    {{UINT64_C(0xb77e0a4cd29157a0), UINT64_C(0x90e88db25a27a240)}, "InteractiveUtils"},
    {{UINT64_C(0x76f8545052265b5a), UINT64_C(0x8eaa529ad045b433)}, "LibGit2"},
    {{UINT64_C(0x8f399da335575675), UINT64_C(0xb5fffb832c97cbdb)}, "Libdl"},
    {{UINT64_C(0x37e2e46df89d539d), UINT64_C(0xb4ee838fcccc9c8e)}, "LinearAlgebra"},
    {{UINT64_C(0x56ddb016857b54e1), UINT64_C(0xb83ddb4d58db5568)}, "Logging"},
    {{0, 0}, "Main"},
    {{UINT64_C(0xd6f4376eaef5505a), UINT64_C(0x96c19c027394607a)}, "Markdown"},
    {{UINT64_C(0xa63ad1147e135084), UINT64_C(0x954ffe012c677804)}, "Mmap"},
    {{UINT64_C(0x44cfe95a1eb252ea), UINT64_C(0xb672e2afdf69b78f)}, "Pkg"},
    {{UINT64_C(0xde0858da63035e67), UINT64_C(0x874451eddeeeb8d7)}, "Printf"},
    {{UINT64_C(0x9abbd945dff8562f), UINT64_C(0xb5e8e1ebf5ef1b79)}, "Profile"},
    {{UINT64_C(0x3fa0cd96eef15676), UINT64_C(0x8a61b3b8758bbffb)}, "REPL"},
    {{UINT64_C(0x9a3f8284a2c95f02), UINT64_C(0x9a11845980a1fd5c)}, "Random"},
    {{UINT64_C(0xea8e919c243c51af), UINT64_C(0x8825aaa63cd721ce)}, "SHA"},
    {{UINT64_C(0x9e88b42af8295b0c), UINT64_C(0xbbe99e923198166b)}, "Serialization"},
    {{UINT64_C(0x1a1011a384de559e), UINT64_C(0x8e89a11a2f7dc383)}, "SharedArrays"},
    {{UINT64_C(0x6462fe0b24de5631), UINT64_C(0x8697dd941f90decc)}, "Sockets"},
    {{UINT64_C(0x2f01184ee22b5df5), UINT64_C(0xae63d93ebab69eaf)}, "SparseArrays"},
    {{UINT64_C(0x10745b1679ce11e8), UINT64_C(0x11f97d13ad32a3b2)}, "Statistics"},
    {{UINT64_C(0x4607b0f006f35cda), UINT64_C(0xb6b1a6196a1729e9)}, "SuiteSparse"},
    {{UINT64_C(0x8dfed614e22c5e08), UINT64_C(0x85e165c5234f0b40)}, "Test"},
    {{UINT64_C(0xcf7118a769765b1a), UINT64_C(0x9a397adc72f591a4)}, "UUIDs"},
    {{UINT64_C(0x4ec0a83e493e50e2), UINT64_C(0xb9ac8f72acf5a8f5)}, "Unicode"},
    {{0, 0}, "__PackagePrecompilationStatementModule"},
};
enum { MODULES_1_5 = sizeof modules_1_5 / sizeof modules_1_5[0] };

int sg_is_loaded(const struct sg_world *w, const struct sg_ji_module *m) {
    for (size_t i = 0; i < w->info.n_loaded; i++) {
        const struct sg_ji_module *l = &w->info.loaded[i];
        if (sg_julia_id_is(&l->id, &m->id))
            return l->build_hi == m->build_hi && l->build_lo == m->build_lo ? 1 : -1;
    }
    for (size_t i = 0; i < MODULES_1_5 && !w->info.loaded_known; i++) {
        if (sg_julia_id_is(&modules_1_5[i], &m->id))
            return 1;
    }
    return 0;
}
