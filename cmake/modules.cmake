# ks_module(NAME SOURCES a.c b.c [USES ks_core ...])      a folder's static library; its headers are its own folder
function(ks_module name)
  cmake_parse_arguments(M "" "" "SOURCES;USES;DEFINES" ${ARGN})
  add_library(${name} STATIC ${M_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${M_USES} PRIVATE ks_flags)
  target_compile_definitions(${name} PRIVATE ${M_DEFINES})
endfunction()

# ks_test(NAME SOURCES tests/test_x.c [USES ...])          a CUnit program, run by ctest
function(ks_test name)
  cmake_parse_arguments(M "" "" "SOURCES;USES" ${ARGN})
  add_executable(${name} ${M_SOURCES})
  target_include_directories(${name} PRIVATE ${CUNIT_INCLUDE} ${PROJECT_SOURCE_DIR}/sim/core/tests)
  target_link_libraries(${name} PRIVATE ${M_USES} ks_flags ${CUNIT_LIBRARY})
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS unit)
endfunction()

# Real time runs in these tests: one at a time, and beside it no more than what one processor does. They wait more than they work, so
# they are begun first.
function(ks_real_time)
  set_tests_properties(${ARGN} PROPERTIES RESOURCE_LOCK real-time COST 1000)
endfunction()

# ks_fuzz(NAME SOURCES tests/fuzz_x.c [USES ...])         an entry for libFuzzer. Every build feeds it the files of tests/corpus/NAME and
# cheap mutants of each (replay_NAME); where the compiler has libFuzzer it runs guided by coverage for a moment (fuzz_NAME).
function(ks_fuzz name)
  cmake_parse_arguments(M "" "" "SOURCES;USES" ${ARGN})
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/tests/corpus/${name})
  add_executable(replay_${name} ${M_SOURCES} ${PROJECT_SOURCE_DIR}/sim/core/tests/replay_corpus.c)
  target_link_libraries(replay_${name} PRIVATE ${M_USES} ks_core ks_flags)
  add_test(NAME replay_${name} COMMAND replay_${name} ${corpus})
  set_tests_properties(replay_${name} PROPERTIES TIMEOUT 120 LABELS unit)
  if(KS_HAS_FUZZER)
    add_executable(fuzz_${name} ${M_SOURCES})
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer-no-link)
    target_link_libraries(fuzz_${name} PRIVATE ${M_USES} ks_flags -fsanitize=fuzzer)
    # what it finds goes into the first folder, which is the build's
    file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/corpus/${name})
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} -max_total_time=3 -max_len=1024 ${CMAKE_CURRENT_BINARY_DIR}/corpus/${name} ${corpus})
    set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 120 LABELS fuzz)
  endif()
endfunction()
