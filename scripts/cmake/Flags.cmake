# How everything of ours is compiled: hardening, sanitizers, warnings.

# Asserts stay on in every build, whatever the build type's own flags say.
foreach(type RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REGEX REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
endforeach()
string(REPLACE "-O3" "-O2" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

set(SALLYPORT_BUILD_DESCRIPTION "${CMAKE_BUILD_TYPE}")
if(SALLYPORT_SANITIZE)
  string(APPEND SALLYPORT_BUILD_DESCRIPTION ", ${SALLYPORT_SANITIZE}")
endif()

add_library(sallyport_flags INTERFACE)
target_compile_definitions(sallyport_flags INTERFACE _GNU_SOURCE)
target_compile_options(sallyport_flags INTERFACE -g -fno-common)
# Builds that tests are for check more: assert_in_tests.
if(SALLYPORT_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_definitions(sallyport_flags INTERFACE SALLYPORT_CHECKS)
endif()

# A flag that this compiler or this architecture does not know is left out.
function(add_flag_if_known flag)
  string(MAKE_C_IDENTIFIER "HAVE${flag}" known)
  check_c_compiler_flag("${flag}" ${known})
  if(${known})
    target_compile_options(sallyport_flags INTERFACE "${flag}")
  endif()
endfunction()

if(SALLYPORT_SANITIZE)
  # Its runtime asks more of the kernel than the gateway's sandbox allows.
  target_compile_definitions(sallyport_flags INTERFACE SALLYPORT_SANITIZED)
  target_compile_options(sallyport_flags INTERFACE -fno-omit-frame-pointer)
  if(SALLYPORT_SANITIZE STREQUAL "asan")
    set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  elseif(SALLYPORT_SANITIZE STREQUAL "tsan")
    set(sanitize -fsanitize=thread)
  else()
    set(sanitize -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined)
  endif()
  target_compile_options(sallyport_flags INTERFACE ${sanitize})
  target_link_options(sallyport_flags INTERFACE ${sanitize})
  # gcc's shared runtime of UBSan holds 6 MB of tables, which LeakSanitizer goes through at every end.
  if(SALLYPORT_SANITIZE STREQUAL "asan" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_link_options(sallyport_flags INTERFACE -static-libubsan)
  endif()
else()
  add_flag_if_known(-fstack-protector-strong)
  add_flag_if_known(-fstack-clash-protection)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64)$")
    add_flag_if_known(-fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    add_flag_if_known(-mbranch-protection=standard)
  endif()
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    # Level 3 needs gcc 12 or clang 15; older clang takes 3 for 2 and says nothing.
    target_compile_options(sallyport_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
  target_link_options(sallyport_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
# As needed: the program names only the libraries that it uses.
target_link_options(sallyport_flags INTERFACE -Wl,--as-needed)

# A release is optimised as a whole, where it is linked. Objects have both forms, so that tests, which
# are hundreds of programs, are linked in no time from what was compiled file by file.
add_library(sallyport_whole INTERFACE) # the gateway's objects and its program
add_library(sallyport_parts INTERFACE) # programs that take them as they are
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT SALLYPORT_SANITIZE
   AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(sallyport_whole INTERFACE -flto=auto -ffat-lto-objects)
  target_link_options(sallyport_whole INTERFACE -O2 -flto=auto)
  target_link_options(sallyport_parts INTERFACE -fno-lto)
endif()

# Warnings are for what we wrote; third-party sources and test macros do not get them all.
add_library(sallyport_warnings INTERFACE)
target_compile_options(sallyport_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla
  -Wundef -Wpointer-arith -Wcast-align -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough
  -Wmissing-declarations -Wnull-dereference)
add_library(sallyport_test_warnings INTERFACE)
target_compile_options(sallyport_test_warnings INTERFACE
  -Wall -Wextra -Wvla -Wpointer-arith -Wwrite-strings -Wformat=2
  # Tests put names of their own into buffers that suffice for them.
  $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>
  # Without its optimizer gcc does not see that a constant is a literal.
  $<$<AND:$<C_COMPILER_ID:GNU>,$<CONFIG:Debug>>:-Wno-format-nonliteral>)
if(SALLYPORT_WERROR)
  target_compile_options(sallyport_warnings INTERFACE -Werror)
  target_compile_options(sallyport_test_warnings INTERFACE -Werror)
endif()
