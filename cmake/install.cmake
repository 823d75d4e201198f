# cmake --install: libraries, public headers, and a package so that find_package(leat) gives leat::core and the others.
include(CMakePackageConfigHelpers)

get_property(_libraries GLOBAL PROPERTY LEAT_LIBRARIES)
get_property(_folders GLOBAL PROPERTY LEAT_LIBRARY_FOLDERS)
set(_package lib/cmake/leat)
install(TARGETS leat_options ${_libraries} EXPORT leat_targets
  ARCHIVE DESTINATION lib COMPONENT development LIBRARY DESTINATION lib COMPONENT development)
set_target_properties(leat_options PROPERTIES EXPORT_NAME options)
foreach(_folder IN LISTS _folders)
  file(RELATIVE_PATH _relative ${PROJECT_SOURCE_DIR} ${_folder})
  get_filename_component(_parent ${_relative} DIRECTORY)
  install(DIRECTORY ${_folder} DESTINATION include/${_parent} COMPONENT development FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
endforeach()
install(EXPORT leat_targets NAMESPACE leat:: DESTINATION ${_package} COMPONENT development)
configure_package_config_file(cmake/leatConfig.cmake.in ${PROJECT_BINARY_DIR}/leatConfig.cmake INSTALL_DESTINATION ${_package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/leatConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/leatConfig.cmake ${PROJECT_BINARY_DIR}/leatConfigVersion.cmake DESTINATION ${_package} COMPONENT development)
