# The build's vocabulary: one function per kind of thing, so that a folder's CMakeLists.txt is one line.
#
#   leat_add_library(NAME [DEPS folder...] [LINK target...] [PORTABLE file...])
#   leat_add_test(NAME SOURCES file... [LINK target...] [LABEL fast|system|slow])
#   leat_add_executable(NAME SOURCES file... [LINK target...] [INSTALL])
#   leat_add_fuzzer(NAME SOURCES file... [LINK target...] [CORPUS folder])
#
# Executables land in bin/, shared objects in lib/ of the build folder.

include_guard(GLOBAL)

option(LEAT_BUILD_TESTS "Build tests (GoogleTest)" ON)
option(LEAT_BUILD_BENCH "Build micro-benchmarks (Google Benchmark)" OFF)
option(LEAT_BUILD_TOOLS "Build tools and examples (CLI11, toml++, nlohmann-json, fmt, spdlog)" ON)
option(LEAT_CORE_ONLY "Only base..drive and the devices: no third-party library, no exceptions, no RTTI" OFF)
option(LEAT_FUZZ "Build libFuzzer targets (clang)" OFF)
option(LEAT_COVERAGE "Instrument for gcov" OFF)
option(LEAT_WERROR "Warnings are errors" OFF)
option(LEAT_SHARED "Build libleat.so and the packetdrill plug-in (compiles the core once more)" OFF)
option(LEAT_INSTALL "Make install rules" ${PROJECT_IS_TOP_LEVEL})
set(LEAT_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")

# Hosted: there is an operating system under us. A bare-metal tool chain says CMAKE_SYSTEM_NAME Generic.
if(CMAKE_SYSTEM_NAME STREQUAL "Generic")
  set(LEAT_HOSTED OFF)
else()
  set(LEAT_HOSTED ON)
endif()
if(LEAT_CORE_ONLY OR NOT LEAT_HOSTED)
  set(LEAT_BUILD_TESTS OFF)
  set(LEAT_BUILD_BENCH OFF)
  set(LEAT_BUILD_TOOLS OFF)
endif()

# ccache when it is there. Its hash leaves out where the checkout lies, so that a fresh clone is warm.
find_program(LEAT_CCACHE ccache)
if(LEAT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER AND NOT DEFINED ENV{CMAKE_CXX_COMPILER_LAUNCHER})
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${LEAT_CCACHE})
endif()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)

# leat_options: what every source of ours is compiled with. Nothing of it but the include folder reaches who installs us.
# -ffp-contract=off: both compilers must round alike (results are compared bit for bit).
set(_leat_flags
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
  $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast>
  -ffp-contract=off -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.)
if(LEAT_WERROR)
  list(APPEND _leat_flags -Werror)
endif()
if(LEAT_CORE_ONLY OR NOT LEAT_HOSTED)
  list(APPEND _leat_flags -fno-exceptions -fno-rtti)
endif()
set(_leat_link_flags)
if(LEAT_SANITIZE)
  list(APPEND _leat_flags -fsanitize=${LEAT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  list(APPEND _leat_link_flags -fsanitize=${LEAT_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND _leat_flags -Wno-maybe-uninitialized)  # false alarms in instrumented library headers
  endif()
endif()
if(LEAT_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "LEAT_FUZZ needs clang: cmake --preset fuzz, or -DCMAKE_CXX_COMPILER=clang++")
  endif()
  # Clang 14 can't put its check of function types in front of a coroutine.
  list(APPEND _leat_flags -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=function -fno-sanitize-recover=all
       -fno-omit-frame-pointer)
  list(APPEND _leat_link_flags -fsanitize=address,undefined)
endif()
if(LEAT_COVERAGE)
  list(APPEND _leat_flags --coverage -fprofile-update=atomic)
  list(APPEND _leat_link_flags --coverage)
endif()

add_library(leat_options INTERFACE)
add_library(leat::options ALIAS leat_options)
target_compile_features(leat_options INTERFACE cxx_std_20)
target_include_directories(leat_options INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include>)
target_compile_options(leat_options INTERFACE "$<BUILD_INTERFACE:${_leat_flags}>")
target_link_options(leat_options INTERFACE "$<BUILD_INTERFACE:${_leat_link_flags}>")

if(LEAT_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
if(LEAT_BUILD_BENCH)
  find_package(benchmark QUIET)  # the whole-stack benchmarks of `leat bench` need no library
  if(NOT benchmark_FOUND)
    message(STATUS "libbenchmark-dev is not installed: no micro-benchmarks")
  endif()
endif()
if(LEAT_HOSTED AND NOT LEAT_CORE_ONLY)
  find_package(Threads REQUIRED)
endif()

# leat_add_library(NAME [DEPS folder...] [LINK target...] [PORTABLE file...])
#
# Makes leat::NAME from every *.cpp of the folder and its sub-folders, and beside it
#   leat_NAME_test   from every *_test.cpp   (one gtest binary, ctest label "fast")
#   leat_NAME_bench  from every *_bench.cpp  (Google Benchmark)
# so that a module is its header, source, test and bench standing side by side, and adding one needs no edit here.
# PORTABLE names the sources that compile without an operating system; without it all do.
function(leat_add_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;LINK;PORTABLE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp)
  set(tests ${sources})
  set(benches ${sources})
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cpp$")
  if(ARG_PORTABLE AND NOT LEAT_HOSTED)
    set(sources)
    foreach(file IN LISTS ARG_PORTABLE)
      if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
        list(APPEND sources ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      endif()
    endforeach()
  endif()

  if(sources)
    add_library(leat_${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(leat_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(leat::${name} ALIAS leat_${name})
  set_target_properties(leat_${name} PROPERTIES EXPORT_NAME ${name})
  list(TRANSFORM ARG_DEPS PREPEND leat::)
  target_link_libraries(leat_${name} ${scope} leat::options ${ARG_DEPS} ${ARG_LINK})
  set_property(GLOBAL APPEND PROPERTY LEAT_LIBRARIES leat_${name})
  set_property(GLOBAL APPEND PROPERTY LEAT_LIBRARY_FOLDERS ${CMAKE_CURRENT_SOURCE_DIR})

  if(LEAT_BUILD_TESTS AND tests)
    leat_add_test(leat_${name}_test SOURCES ${tests} LINK leat::${name})
  endif()
  if(LEAT_BUILD_BENCH AND benchmark_FOUND AND benches)
    add_executable(leat_${name}_bench ${benches})
    target_link_libraries(leat_${name}_bench PRIVATE leat::${name} benchmark::benchmark_main)
  endif()
endfunction()

# leat_add_test(NAME SOURCES file... [LINK target...] [LABEL fast|system|slow]): a gtest binary; every case is a ctest test.
# Makes nothing where tests are off.
function(leat_add_test name)
  if(NOT LEAT_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;LINK" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL fast)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE leat::options ${ARG_LINK} GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 120)
  if(LEAT_SANITIZE STREQUAL "thread")
    _leat_add_threaded_test(${name} ${ARG_SOURCES})
  endif()
endfunction()

# Under ThreadSanitizer a test program that starts threads is one more test, Threads.<name> with label "threads": all of it in
# one process, so that its interleavings add up. Target `threaded_tests` builds these programs and no other.
function(_leat_add_threaded_test name)
  if(NOT TARGET threaded_tests)
    add_custom_target(threaded_tests)
  endif()
  foreach(source IN LISTS ARGN)
    cmake_path(ABSOLUTE_PATH source)
    file(STRINGS ${source} starts LIMIT_COUNT 1 REGEX "std::(thread|jthread|async)|pthread_create|thrd_create|(\\.|->)start\\(\\)")
    if(starts)
      add_dependencies(threaded_tests ${name})
      add_test(NAME Threads.${name} COMMAND ${name} --gtest_brief=1)
      set_tests_properties(Threads.${name} PROPERTIES LABELS threads TIMEOUT 300)
      return()
    endif()
  endforeach()
endfunction()

# leat_add_executable(NAME SOURCES file... [LINK target...] [INSTALL]): a program in bin/; INSTALL puts it into the package.
function(leat_add_executable name)
  cmake_parse_arguments(ARG "INSTALL" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE leat::options ${ARG_LINK})
  if(ARG_INSTALL AND LEAT_INSTALL)
    install(TARGETS ${name} RUNTIME DESTINATION bin COMPONENT tools)
  endif()
endfunction()

# leat_add_fuzzer(NAME SOURCES file... [LINK target...] [CORPUS folder])
#
# A libFuzzer target, made only under LEAT_FUZZ. Its ctest test (label "fuzz") replays the seed corpus, by default
# fuzz/corpus/NAME, and then runs some thousand inputs; scripts/fuzz runs it for minutes.
function(leat_add_fuzzer name)
  if(NOT LEAT_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;LINK" ${ARGN})
  if(NOT ARG_CORPUS)
    set(ARG_CORPUS ${PROJECT_SOURCE_DIR}/fuzz/corpus/${name})
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE leat::options ${ARG_LINK})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin/fuzz)
  set(scratch ${PROJECT_BINARY_DIR}/corpus/${name})  # new inputs go here, never into the source folder
  file(MAKE_DIRECTORY ${scratch})
  set(seeds)
  if(IS_DIRECTORY ${ARG_CORPUS})
    set(seeds ${ARG_CORPUS})
  endif()
  add_test(NAME Fuzz_${name} COMMAND ${name} -runs=5000 -max_total_time=20 -timeout=10 -artifact_prefix=${scratch}/ ${scratch} ${seeds})
  set_tests_properties(Fuzz_${name} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()

# leat_add_symbols_test(folder...): ctest Layering_symbols_<folder> reads the archive's undefined symbols.
function(leat_add_symbols_test)
  foreach(folder IN LISTS ARGN)
    if(TARGET leat_${folder})
      get_target_property(type leat_${folder} TYPE)
      if(type STREQUAL "STATIC_LIBRARY")
        add_test(NAME Layering_symbols_${folder}
          COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} -DARCHIVE=$<TARGET_FILE:leat_${folder}> -P ${PROJECT_SOURCE_DIR}/cmake/check_symbols.cmake)
        set_tests_properties(Layering_symbols_${folder} PROPERTIES LABELS fast TIMEOUT 60)
      endif()
    endif()
  endforeach()
endfunction()
