# leat_add_library(NAME [DEPS folder...] [LINK target...])
#
# Makes leat::NAME from every *.cpp of the folder and its sub-folders, and beside it
#   leat_NAME_test   from every *_test.cpp   (one gtest binary, ctest label "fast")
#   leat_NAME_bench  from every *_bench.cpp  (Google Benchmark)
# so that a module is its header, source, test and bench standing side by side, and adding one
# needs no edit here.
option(LEAT_BUILD_TESTS "Build tests" ON)
option(LEAT_BUILD_BENCH "Build micro-benchmarks" OFF)
set(LEAT_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

add_library(leat_options INTERFACE)
target_include_directories(leat_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(leat_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast -Werror
  -ffp-contract=off -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
if(LEAT_SANITIZE)
  target_compile_options(leat_options INTERFACE -fsanitize=${LEAT_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(leat_options INTERFACE -fsanitize=${LEAT_SANITIZE})
endif()

if(LEAT_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
if(LEAT_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()

function(leat_add_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp)
  set(tests ${sources})
  set(benches ${sources})
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cpp$")

  if(sources)
    add_library(leat_${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(leat_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(leat::${name} ALIAS leat_${name})
  list(TRANSFORM ARG_DEPS PREPEND leat::)
  target_link_libraries(leat_${name} ${scope} leat_options ${ARG_DEPS} ${ARG_LINK})

  if(LEAT_BUILD_TESTS AND tests)
    leat_add_test(leat_${name}_test SOURCES ${tests} LINK leat::${name})
  endif()
  if(LEAT_BUILD_BENCH AND benches)
    add_executable(leat_${name}_bench ${benches})
    target_link_libraries(leat_${name}_bench PRIVATE leat::${name} benchmark::benchmark_main)
  endif()
endfunction()

# leat_add_test(NAME SOURCES file... [LINK target...] [LABEL fast|system|slow]): a gtest binary; every case is a ctest test.
function(leat_add_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;LINK" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL fast)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 120)
endfunction()
