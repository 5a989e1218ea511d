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
