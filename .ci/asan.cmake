# AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer; any finding ends the program.
set(CMAKE_BUILD_TYPE Debug CACHE STRING "")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g" CACHE STRING "")
set(ROLLCALL_SANITIZER asan CACHE STRING "")
set(ROLLCALL_BENCH OFF CACHE BOOL "")
