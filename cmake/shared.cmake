# libleat.so and the plug-ins: shared objects need code for any address, so what stands behind them is compiled once more, as
# leat_pic. Only where LEAT_SHARED is on (presets release and clang-release): it costs a build of the core.
set(_pic_sources)
foreach(_library base buf wire offload op core device drive sync runtime posix)
  get_target_property(_type leat_${_library} TYPE)
  if(_type STREQUAL "STATIC_LIBRARY")
    get_target_property(_sources leat_${_library} SOURCES)
    list(APPEND _pic_sources ${_sources})
  endif()
endforeach()
add_library(leat_pic OBJECT ${_pic_sources})
target_link_libraries(leat_pic PRIVATE leat::options)
set_target_properties(leat_pic PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)

get_target_property(_c_sources leat_c SOURCES)
add_library(leat_shared SHARED ${_c_sources} $<TARGET_OBJECTS:leat_pic>)
target_link_libraries(leat_shared PRIVATE leat::options Threads::Threads)
set_target_properties(leat_shared PROPERTIES OUTPUT_NAME leat VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
                      POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_link_options(leat_shared PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map)
set_target_properties(leat_shared PROPERTIES LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/exports.map)
target_compile_options(leat_shared PRIVATE -g)  # abidw reads the types of what is exported
if(LEAT_INSTALL)
  install(TARGETS leat_shared LIBRARY DESTINATION lib COMPONENT development)
endif()
