# What the gateway is linked with: BoringSSL (static), llhttp, libev, c-ares, nghttp2,
# jansson, libseccomp.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# --- BoringSSL ------------------------------------------------------------------------------------
# Sanitizer builds link one that was built with the sanitizer: otherwise BoringSSL would hide what it
# does to memory, and the order it gives to threads, from the tools.
if(BORINGSSL_ROOT)
  set(boringssl_root "${BORINGSSL_ROOT}")
else()
  set(flavour "${SALLYPORT_SANITIZE}")
  if(NOT flavour)
    set(flavour plain)
  endif()
  execute_process(
    COMMAND "${CMAKE_SOURCE_DIR}/scripts/boringssl/build" "${flavour}"
    OUTPUT_VARIABLE boringssl_root
    OUTPUT_STRIP_TRAILING_WHITESPACE
    RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "BoringSSL could not be built (see above); -DBORINGSSL_ROOT= takes another")
  endif()
endif()

# Libraries lie in lib/, in build/ (upstream's build tree, newer) or in build/ssl and build/crypto.
foreach(name ssl crypto)
  find_library(boringssl_${name} NAMES "lib${name}.a" NO_CACHE NO_DEFAULT_PATH
    PATHS "${boringssl_root}" PATH_SUFFIXES lib build "build/${name}")
  if(NOT boringssl_${name})
    message(FATAL_ERROR "no lib${name}.a in ${boringssl_root}/lib or ${boringssl_root}/build")
  endif()
endforeach()
set(base_header "${boringssl_root}/include/openssl/base.h")
if(NOT EXISTS "${base_header}")
  message(FATAL_ERROR "no ${base_header}")
endif()
file(STRINGS "${base_header}" api_line REGEX "#define BORINGSSL_API_VERSION [0-9]+")
if(NOT api_line)
  message(FATAL_ERROR "${boringssl_root} is not a BoringSSL: no BORINGSSL_API_VERSION in its headers")
endif()
string(REGEX REPLACE ".* ([0-9]+).*" "\\1" BORINGSSL_API "${api_line}")
set(BORINGSSL_VERSION "unknown")
if(EXISTS "${boringssl_root}/VERSION")
  file(STRINGS "${boringssl_root}/VERSION" BORINGSSL_VERSION LIMIT_COUNT 1)
endif()

add_library(boringssl INTERFACE)
target_include_directories(boringssl SYSTEM INTERFACE "${boringssl_root}/include")
target_link_libraries(boringssl INTERFACE "${boringssl_ssl}" "${boringssl_crypto}" Threads::Threads)
# libssl is C++ inside. Its runtime is linked statically, so that the program needs no libstdc++;
# sanitizer runtimes want the shared one.
if(SALLYPORT_SANITIZE)
  target_link_libraries(boringssl INTERFACE stdc++)
else()
  target_link_libraries(boringssl INTERFACE -l:libstdc++.a)
endif()
# Nothing of it is offered to shared libraries, which may have brought OpenSSL along.
target_link_options(boringssl INTERFACE "-Wl,--exclude-libs,libssl.a:libcrypto.a")
message(STATUS "BoringSSL ${BORINGSSL_VERSION} (API ${BORINGSSL_API}) in ${boringssl_root}")

# --- llhttp ---------------------------------------------------------------------------------------
# Newer Debian has the library; Debian 12 has its C sources.
find_path(llhttp_include llhttp.h PATHS /usr/share/include/llhttp NO_CACHE REQUIRED)
file(STRINGS "${llhttp_include}/llhttp.h" llhttp_lines REGEX "#define LLHTTP_VERSION_")
string(REGEX REPLACE "[^0-9;]" "" LLHTTP_VERSION "${llhttp_lines}")
string(REPLACE ";" "." LLHTTP_VERSION "${LLHTTP_VERSION}")

set(llhttp_sources /usr/share/llhttp/llhttp.c /usr/share/llhttp/http.c /usr/share/llhttp/api.c)
find_library(llhttp_library llhttp NO_CACHE)
if(llhttp_library)
  add_library(llhttp INTERFACE)
  target_link_libraries(llhttp INTERFACE "${llhttp_library}")
  target_include_directories(llhttp SYSTEM INTERFACE "${llhttp_include}")
else()
  foreach(source ${llhttp_sources})
    if(NOT EXISTS "${source}")
      message(FATAL_ERROR "no libllhttp and no ${source}: scripts/setup build installs it")
    endif()
  endforeach()
  # Strict mode refuses line ends other than CR LF, as the gateway does.
  add_library(llhttp STATIC ${llhttp_sources})
  target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_include_directories(llhttp SYSTEM PUBLIC "${llhttp_include}")
  target_link_libraries(llhttp PRIVATE sallyport_flags sallyport_whole)
  target_compile_options(llhttp PRIVATE -w)
endif()

# --- libev, c-ares, nghttp2, jansson, libseccomp, hiredis, zlib, brotli, zstd, libcrypt -------------------------------------------------------------
find_path(libev_include ev.h NO_CACHE REQUIRED)
find_library(libev_library ev NO_CACHE REQUIRED)
file(STRINGS "${libev_include}/ev.h" libev_lines REGEX "#define EV_VERSION_M(AJOR|INOR) +[0-9]+")
string(REGEX REPLACE "#define EV_VERSION_M(AJOR|INOR) +" "" LIBEV_VERSION "${libev_lines}")
string(REGEX REPLACE "[^0-9;]" "" LIBEV_VERSION "${LIBEV_VERSION}")
string(REPLACE ";" "." LIBEV_VERSION "${LIBEV_VERSION}")
add_library(libev INTERFACE)
target_include_directories(libev SYSTEM INTERFACE "${libev_include}")
target_link_libraries(libev INTERFACE "${libev_library}")

# With the C library's own reader of DNS messages, which knows TTLs of every kind of record.
pkg_check_modules(cares_pc REQUIRED IMPORTED_TARGET libcares)
add_library(cares INTERFACE)
target_link_libraries(cares INTERFACE PkgConfig::cares_pc resolv)

pkg_check_modules(nghttp2_pc REQUIRED IMPORTED_TARGET libnghttp2)
add_library(nghttp2 INTERFACE)
target_link_libraries(nghttp2 INTERFACE PkgConfig::nghttp2_pc)

pkg_check_modules(jansson_pc REQUIRED IMPORTED_TARGET jansson)
add_library(jansson INTERFACE)
target_link_libraries(jansson INTERFACE PkgConfig::jansson_pc)

pkg_check_modules(libseccomp_pc REQUIRED IMPORTED_TARGET libseccomp)
add_library(libseccomp INTERFACE)
target_link_libraries(libseccomp INTERFACE PkgConfig::libseccomp_pc)

pkg_check_modules(hiredis_pc REQUIRED IMPORTED_TARGET hiredis)
add_library(hiredis INTERFACE)
target_link_libraries(hiredis INTERFACE PkgConfig::hiredis_pc)

# What answers are compressed with.
pkg_check_modules(zlib_pc REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(brotli_pc REQUIRED IMPORTED_TARGET libbrotlienc)
pkg_check_modules(zstd_pc REQUIRED IMPORTED_TARGET libzstd)
add_library(encoders INTERFACE)
target_link_libraries(encoders INTERFACE PkgConfig::zlib_pc PkgConfig::brotli_pc PkgConfig::zstd_pc)

# Hashes of passwords.
pkg_check_modules(crypt_pc REQUIRED IMPORTED_TARGET libcrypt)
add_library(libcrypt INTERFACE)
target_link_libraries(libcrypt INTERFACE PkgConfig::crypt_pc)
