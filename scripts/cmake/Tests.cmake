# The tests: unit, end to end, fuzz corpora, lint.
#
#   tests/unit/**/test_*.c     each a Criterion program, linked to the gateway's library
#   tests/e2e/test_*.c         each a Criterion program that drives the built gateway; never linked
#                              to the gateway's library or BoringSSL (libcurl brings OpenSSL);
#                              test_heavy_*.c runs alone, and not in the TSan round; over which
#                              protocols each runs says tests/e2e/protocols
#   tests/fuzz/fuzz_*.c        each a libFuzzer program under the preset `fuzz`; elsewhere a program
#                              that replays tests/fuzz/corpus/NAME/*; other files there (but
#                              replay.c, its main) and some of tests/support are what they share
#   tests/threads/*.c          each a plain program linked to the gateway's library, in which threads
#                              meet; the one kind that runs under TSan by itself
#   tests/bench/instructions.c counts a release build's instructions beside their baseline
#   tests/support/*.c          what unit tests share; tests/e2e/harness/*.c what end-to-end tests share
#   tests/support/preload/*.c  what they preload into the gateway

set(tests "${CMAKE_SOURCE_DIR}/tests")

# What a sanitizer reports fails the test even where the exit code does not say so: a test that
# leaks in a process of its own still ends with 0.
set(sanitizer_reports "LeakSanitizer|AddressSanitizer|ThreadSanitizer|runtime error:")
set(test_environment
  "ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=0"
  "UBSAN_OPTIONS=print_stacktrace=1"
  "TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1"
  "SALLYPORT_SOURCE_DIR=${CMAKE_SOURCE_DIR}"
  "SALLYPORT_BUILD_DIR=${CMAKE_BINARY_DIR}")
if(TARGET sallyport)
  list(APPEND test_environment "SALLYPORT_BIN=$<TARGET_FILE:sallyport>")
endif()
if(SALLYPORT_SANITIZE)
  list(APPEND test_environment "SALLYPORT_TEST_SLOW=1")
endif()
if(SALLYPORT_SANITIZE STREQUAL "tsan")
  list(APPEND test_environment "SALLYPORT_TEST_FAULTS=none")
endif()

function(set_test_properties name label timeout)
  set_tests_properties("${name}" PROPERTIES
    LABELS "${label}"
    TIMEOUT ${timeout}
    SKIP_RETURN_CODE 77
    ENVIRONMENT "${test_environment}"
    FAIL_REGULAR_EXPRESSION "${sanitizer_reports}")
endfunction()

# A library out of FILES, or nothing when there are none.
function(add_shared_code name)
  if(ARGN)
    add_library(${name} STATIC ${ARGN})
    target_link_libraries(${name} PRIVATE sallyport_test_warnings)
  endif()
endfunction()

# tests/unit/http/test_h1_codec.c -> unit/http/test_h1_codec
function(test_name source out)
  file(RELATIVE_PATH name "${tests}" "${source}")
  string(REGEX REPLACE "\\.c$" "" name "${name}")
  set(${out} "${name}" PARENT_SCOPE)
endfunction()

find_package(Python3 COMPONENTS Interpreter)
find_library(criterion_library criterion NO_CACHE)
find_path(criterion_include criterion/criterion.h NO_CACHE)

# What takes compressed answers apart.
pkg_check_modules(brotlidec_pc REQUIRED IMPORTED_TARGET libbrotlidec)
add_library(decoders INTERFACE)
target_link_libraries(decoders INTERFACE PkgConfig::zlib_pc PkgConfig::brotlidec_pc PkgConfig::zstd_pc)

# Criterion starts a process for each test, and in each of them a library of its own reads and parses
# every authority that the machine trusts: a fifth of the time that the unit tests take.
add_library(quick_start OBJECT "${tests}/support/criterion/quick_start.c")

# Preloaded into the gateway by end-to-end tests. Compiled plainly; where a sanitizer has an allocator
# of its own, memory is left to it.
if(TARGET sallyport AND NOT SALLYPORT_SANITIZE STREQUAL "fuzz")
  add_library(sallyport_faults MODULE "${tests}/support/preload/faults.c")
  target_compile_definitions(sallyport_faults PRIVATE
    _GNU_SOURCE $<$<BOOL:${SALLYPORT_SANITIZE}>:FAULTS_WITHOUT_MEMORY>)
  target_include_directories(sallyport_faults PRIVATE "${tests}")
  target_link_libraries(sallyport_faults PRIVATE sallyport_test_warnings ${CMAKE_DL_LIBS})
  set_target_properties(sallyport_faults PROPERTIES
    PREFIX "" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
endif()

# --- unit tests -----------------------------------------------------------------------------------
# A Criterion program under TSan crashes by itself, so a TSan build has end-to-end tests only; a
# libFuzzer build has fuzz targets only.
file(GLOB support_sources CONFIGURE_DEPENDS "${tests}/support/*.c")
if(TARGET sallyport_core AND NOT SALLYPORT_SANITIZE MATCHES "tsan|fuzz")
  file(GLOB_RECURSE unit_sources CONFIGURE_DEPENDS "${tests}/unit/test_*.c")
  if(unit_sources AND NOT criterion_library)
    message(STATUS "no Criterion (scripts/setup test installs it): unit tests are not built")
    set(unit_sources "")
  endif()
  add_shared_code(test_support ${support_sources})
  if(TARGET test_support)
    target_include_directories(test_support PUBLIC "${tests}")
    target_link_libraries(test_support PUBLIC sallyport_core decoders)
  endif()
  foreach(source ${unit_sources})
    test_name("${source}" name)
    string(MAKE_C_IDENTIFIER "${name}" target)
    add_executable(${target} "${source}")
    target_include_directories(${target} PRIVATE "${tests}" "${criterion_include}")
    if(TARGET test_support)
      target_link_libraries(${target} PRIVATE test_support sallyport_parts)
    endif()
    target_link_libraries(${target} PRIVATE
      quick_start sallyport_core sallyport_test_warnings "${criterion_library}")
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
    add_test(NAME ${name} COMMAND ${target} -j1 WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set_test_properties(${name} unit 300)
  endforeach()
endif()

# --- threads --------------------------------------------------------------------------------------
if(TARGET sallyport_core AND NOT SALLYPORT_SANITIZE STREQUAL "fuzz")
  file(GLOB thread_sources CONFIGURE_DEPENDS "${tests}/threads/*.c")
  foreach(source ${thread_sources})
    get_filename_component(name "${source}" NAME_WE)
    add_executable(${name} "${source}")
    target_link_libraries(${name} PRIVATE sallyport_core sallyport_test_warnings sallyport_parts)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
    add_test(NAME threads/${name} COMMAND ${name})
    set_test_properties(threads/${name} threads 300)
  endforeach()
endif()

# --- end-to-end tests -----------------------------------------------------------------------------
# The table tests/e2e/protocols: NAME -> protocols_NAME, a list.
file(STRINGS "${tests}/e2e/protocols" protocol_lines REGEX "^[^#]")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${tests}/e2e/protocols")
foreach(line ${protocol_lines})
  if(NOT line MATCHES "^([a-z0-9_]+) +(h1 h2|own|h1 +[^ ].+)$")
    message(FATAL_ERROR "tests/e2e/protocols: not `h1 h2`, `own` or `h1` with a reason: ${line}")
  endif()
  set(name "${CMAKE_MATCH_1}")
  if(NOT EXISTS "${tests}/e2e/test_${name}.c")
    message(FATAL_ERROR "tests/e2e/protocols: there is no tests/e2e/test_${name}.c")
  endif()
  if(CMAKE_MATCH_2 STREQUAL "h1 h2")
    set(protocols_${name} h1 h2)
  else()
    set(protocols_${name} h1)
  endif()
endforeach()

# Adds the program once for each of its protocols: NAME, NAME.h2. One that has the other beside it is
# labelled `twin`, so that a round may do with the other.
function(add_e2e_tests name target)
  string(REGEX REPLACE ".*/test_" "" key "${name}")
  if(NOT DEFINED protocols_${key})
    message(FATAL_ERROR "tests/e2e/protocols does not say over which protocols ${key} runs")
  endif()
  set(labels e2e)
  set(timeout 600)
  if(key MATCHES "^heavy_")
    list(APPEND labels heavy)
    set(timeout 900)
  endif()
  foreach(protocol ${protocols_${key}})
    set(test "${name}")
    set(more "")
    if(protocol STREQUAL "h2")
      set(test "${name}.h2")
      set(more h2)
    elseif("h2" IN_LIST protocols_${key})
      set(more twin)
    endif()
    add_test(NAME ${test} COMMAND ${target} -j1 WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set_test_properties(${test} "${labels};${more}" ${timeout})
    set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT "SALLYPORT_TEST_PROTOCOL=${protocol}")
    # Sockets that take a byte at a time keep a processor busy by themselves, in HTTP/2 most of all.
    if(key MATCHES "^heavy_" OR "${key}.${protocol}" STREQUAL "faults.h2")
      set_tests_properties(${test} PROPERTIES RUN_SERIAL ON)
    endif()
  endforeach()
endfunction()

# Compiled plainly whatever the gateway is compiled with, so that those of another build will do.
set(SALLYPORT_E2E_FROM "" CACHE PATH "A build's folder, whose end-to-end programs drive this one's gateway")
if(TARGET sallyport AND NOT SALLYPORT_SANITIZE STREQUAL "fuzz")
  file(GLOB e2e_sources CONFIGURE_DEPENDS "${tests}/e2e/test_*.c")
  file(GLOB harness_sources CONFIGURE_DEPENDS "${tests}/e2e/harness/*.c")
  list(APPEND harness_sources # which need nothing of the gateway
    "${tests}/support/strict_reader.c" "${tests}/support/hpack.c" "${tests}/support/hpack_huffman.c"
    "${tests}/support/delay_relay.c" "${tests}/support/decoder.c"
    "${tests}/support/dns_server.c" "${tests}/support/dns_message.c")
  pkg_check_modules(curl_pc IMPORTED_TARGET libcurl)
  pkg_check_modules(openssl_pc IMPORTED_TARGET libssl libcrypto)
  if(e2e_sources AND NOT (criterion_library AND curl_pc_FOUND AND openssl_pc_FOUND))
    message(STATUS "no Criterion, libcurl or OpenSSL (scripts/setup test installs them): "
                    "end-to-end tests are not built")
    set(e2e_sources "")
    set(harness_sources "")
  endif()
  add_library(e2e_libraries INTERFACE)
  target_compile_definitions(e2e_libraries INTERFACE _GNU_SOURCE)
  target_compile_options(e2e_libraries INTERFACE -g)
  target_include_directories(e2e_libraries INTERFACE "${tests}" "${tests}/e2e" "${criterion_include}")
  if(curl_pc_FOUND AND openssl_pc_FOUND)
    target_link_libraries(e2e_libraries INTERFACE
      PkgConfig::curl_pc PkgConfig::openssl_pc PkgConfig::nghttp2_pc)
  endif()
  target_link_libraries(e2e_libraries INTERFACE jansson nghttp2 decoders Threads::Threads m)

  if(NOT SALLYPORT_E2E_FROM)
    add_shared_code(e2e_harness ${harness_sources})
  endif()
  if(TARGET e2e_harness)
    target_link_libraries(e2e_harness PUBLIC e2e_libraries)
  endif()
  foreach(source ${e2e_sources})
    test_name("${source}" name)
    string(MAKE_C_IDENTIFIER "${name}" target)
    if(SALLYPORT_E2E_FROM)
      add_e2e_tests(${name} "${SALLYPORT_E2E_FROM}/tests/${target}")
      continue()
    endif()
    add_executable(${target} "${source}")
    if(TARGET e2e_harness)
      target_link_libraries(${target} PRIVATE e2e_harness)
    endif()
    target_link_libraries(${target} PRIVATE
      quick_start e2e_libraries sallyport_test_warnings "${criterion_library}")
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
    add_dependencies(${target} sallyport sallyport_faults)
    add_e2e_tests(${name} ${target})
  endforeach()
endif()

# --- fuzz targets ---------------------------------------------------------------------------------
if(TARGET sallyport_core AND NOT SALLYPORT_SANITIZE STREQUAL "tsan")
  file(GLOB fuzz_sources CONFIGURE_DEPENDS "${tests}/fuzz/fuzz_*.c")
  file(GLOB fuzz_shared CONFIGURE_DEPENDS "${tests}/fuzz/*.c")
  list(FILTER fuzz_shared EXCLUDE REGEX "/(fuzz_[^/]*|replay)\\.c$")
  list(APPEND fuzz_shared
    "${tests}/support/fake_stream.c" "${tests}/support/strict_reader.c"
    "${tests}/support/h2_reader.c" "${tests}/support/h2_reader_client.c"
    "${tests}/support/h2_reader_server.c" "${tests}/support/test_certs.c")
  add_shared_code(fuzz_support ${fuzz_shared})
  target_include_directories(fuzz_support PUBLIC "${tests}")
  target_link_libraries(fuzz_support PUBLIC sallyport_core)
  foreach(source ${fuzz_sources})
    get_filename_component(name "${source}" NAME_WE)
    string(REGEX REPLACE "^fuzz_" "" corpus "${name}")
    add_executable(${name} "${source}")
    target_include_directories(${name} PRIVATE "${tests}")
    target_link_libraries(${name} PRIVATE fuzz_support sallyport_core sallyport_test_warnings sallyport_parts)
    if(SALLYPORT_SANITIZE STREQUAL "fuzz")
      target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
      target_sources(${name} PRIVATE "${tests}/fuzz/replay.c")
      add_test(NAME fuzz/${name} COMMAND ${name} "${tests}/fuzz/corpus/${corpus}")
      set_test_properties(fuzz/${name} fuzz 120)
    endif()
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
  endforeach()
endif()

# --- bench ----------------------------------------------------------------------------------------
# What scripts/bench-scale measures in the gateway's own tables (its other programs it builds itself),
# and what the cache has of what is asked for.
if(TARGET sallyport_core AND NOT SALLYPORT_SANITIZE)
  add_executable(bench_lookup EXCLUDE_FROM_ALL "${tests}/bench/lookup.c")
  target_link_libraries(bench_lookup PRIVATE sallyport_core sallyport_test_warnings)
  add_executable(bench_prefixes EXCLUDE_FROM_ALL "${tests}/bench/prefixes.c")
  target_link_libraries(bench_prefixes PRIVATE sallyport_core sallyport_test_warnings)
  if(TARGET test_support)
    add_executable(bench_cache_ratio EXCLUDE_FROM_ALL "${tests}/bench/cache_ratio.c")
    target_link_libraries(bench_cache_ratio PRIVATE test_support sallyport_test_warnings)
  endif()
endif()

# How many instructions requests, handshakes and bytes cost, held against tests/bench/instructions.json:
# what is measured is what is shipped.
if(TARGET test_support AND CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT SALLYPORT_SANITIZE)
  add_executable(bench_instructions
    "${tests}/bench/instructions.c" "${tests}/bench/lockstep.c"
    "${tests}/bench/around_backend.c" "${tests}/bench/around_user.c")
  target_link_libraries(bench_instructions PRIVATE test_support sallyport_test_warnings
    sallyport_whole)
  add_test(NAME bench/instructions COMMAND "${CMAKE_SOURCE_DIR}/scripts/bench-instructions" --check
    --binary "$<TARGET_FILE:bench_instructions>")
  set_test_properties(bench/instructions bench 300)
endif()

# --- lint -----------------------------------------------------------------------------------------
if(NOT SALLYPORT_SANITIZE MATCHES "tsan|fuzz")
  add_test(NAME lint/layers COMMAND "${CMAKE_SOURCE_DIR}/scripts/check-layers")
  add_test(NAME lint/format COMMAND "${CMAKE_SOURCE_DIR}/scripts/format" --check)
  add_test(NAME lint/scripts COMMAND "${CMAKE_SOURCE_DIR}/scripts/check-scripts")
  add_test(NAME lint/map COMMAND "${CMAKE_SOURCE_DIR}/tests/check-map")
  add_test(NAME lint/service COMMAND "${CMAKE_SOURCE_DIR}/tests/check-service")
  add_test(NAME lint/bench COMMAND "${CMAKE_SOURCE_DIR}/tests/check-bench")
  foreach(name layers format scripts map service bench)
    set_tests_properties(lint/${name} PROPERTIES LABELS lint TIMEOUT 300 SKIP_RETURN_CODE 77)
  endforeach()
endif()
