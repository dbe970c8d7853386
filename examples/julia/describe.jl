# Prints what `saggar julia check --julia-info` wants to know about this Julia:
#
#     julia --startup-file=no --project=. describe.jl > julia.json
#
# Give it the options and variables (-C, --pkgimages, JULIA_DEPOT_PATH ...) of the runs that it shall stand for.
# Run on Julia 1.5.3; what stands behind a later version's condition was not.

text(s) = repr(string(s))
list(items) = string("[", join(items, ", "), "]")
digits = VERSION >= v"1.9" ? 32 : 16

modules = [string("{\"name\": ", text(id.name), ", \"uuid\": ", id.uuid === nothing ? "null" : text(id.uuid),
                  ", \"build_id\": \"0x", string(Base.module_build_id(m), base=16, pad=digits), "\"}")
           for (id, m) in sort(collect(Base.loaded_modules), by=pair -> pair.first.name)]
members = [
    "version" => text(VERSION),
    "uname" => text(Sys.KERNEL),
    "arch" => text(Sys.ARCH),
    "git_branch" => text(Base.GIT_VERSION_INFO.branch),
    "git_commit" => text(Base.GIT_VERSION_INFO.commit),
    "image_file" => text(unsafe_string(Base.JLOptions().image_file)),
    "julia_bin" => text(unsafe_string(Base.JLOptions().julia_bin)),
    "depot_path" => list(text.(filter(isabspath, DEPOT_PATH))),
    "stdlib" => text(Sys.STDLIB),
    "sysimage_modules" => list(modules),
]
Base.active_project() === nothing || push!(members, "active_project" => text(Base.active_project()))
haskey(ENV, "JULIA_CPU_TARGET") && push!(members, "JULIA_CPU_TARGET" => text(ENV["JULIA_CPU_TARGET"]))
if VERSION >= v"1.9"
    flags = ccall(:jl_cache_flags, UInt8, ())
    mode = Base.JLOptions().use_pkgimages == 2 ? "\"existing\"" : string(flags & 1 == 1)
    push!(members, "session_cacheflags" => string("{\"byte\": \"0x", string(flags, base=16, pad=2), "\", \"use_pkgimages\": ", mode, "}"))
    push!(members, "opt_cpu_target" => text(unsafe_string(Base.JLOptions().cpu_target)))
end
VERSION >= v"1.10" && push!(members, "session_targets" => list(text.(Base.current_image_targets())))
println("{", join((string("\"", key, "\": ", value) for (key, value) in members), ",\n "), "}")
