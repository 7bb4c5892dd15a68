# What users run: optimised, hardened.
set(CMAKE_BUILD_TYPE Release CACHE STRING "")
set(CMAKE_C_FLAGS_RELEASE
    "-O2 -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection" CACHE STRING "")
set(CMAKE_EXE_LINKER_FLAGS_RELEASE "-Wl,-z,relro,-z,now" CACHE STRING "")
