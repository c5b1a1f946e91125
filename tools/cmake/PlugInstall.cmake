# cmake --install: what this file adds to the programs and plugins, which install themselves.
# Component `sdk` is all that a plugin's author or a calling program needs.
include(CMakePackageConfigHelpers)

set(PLUG_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/plug)
set(PLUG_PC_DIR ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# ---- libraries and headers

if(BUILD_SHARED_LIBS)
	set(PLUG_LIBRARIES plug_plugin_sdk plug_client_shared)
	# Both have the error table's functions and those of tensors, also where they do not use them themselves.
	foreach(library ${PLUG_LIBRARIES})
		target_link_options(${library} PRIVATE -Wl,--undefined=plug_err_name -Wl,--undefined=plug_err_text
			LINKER:--whole-archive,$<TARGET_FILE:plug_shared>,--no-whole-archive)
	endforeach()
else()
	set(PLUG_LIBRARIES plug_plugin_sdk plug_client plug_shared plug_proto)
endif()
install(TARGETS ${PLUG_LIBRARIES}
	ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT sdk
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT sdk)
install(DIRECTORY sdk/include/plug proto/include/plug DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT sdk
	FILES_MATCHING PATTERN "*.h")
install(FILES proto/plug.proto proto/admin.proto DESTINATION ${CMAKE_INSTALL_DATADIR}/plug/proto COMPONENT sdk)

# ---- CMake package: find_package(plug), plug::plug and plug::client

configure_package_config_file(tools/cmake/plug-config.cmake.in ${PROJECT_BINARY_DIR}/plug-config.cmake
	INSTALL_DESTINATION ${PLUG_CMAKE_DIR}
	PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/plug-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/plug-config.cmake ${PROJECT_BINARY_DIR}/plug-config-version.cmake
	DESTINATION ${PLUG_CMAKE_DIR} COMPONENT sdk)

# ---- pkg-config: plug and plug-client

# Paths are relative to the .pc file, so that an installed tree can be moved.
function(plug_pc_path variable path)
	if(IS_ABSOLUTE ${path})
		set(${variable} ${path} PARENT_SCOPE)
	else()
		file(RELATIVE_PATH up /prefix/${PLUG_PC_DIR} /prefix/${path})
		string(REGEX REPLACE "/$" "" up ${up})
		set(${variable} "\${pcfiledir}/${up}" PARENT_SCOPE)
	endif()
endfunction()
plug_pc_path(PLUG_PC_LIBDIR ${CMAKE_INSTALL_LIBDIR})
plug_pc_path(PLUG_PC_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})

# An archive does not name what it needs, so with archives alone everything is public; a shared library does.
if(BUILD_SHARED_LIBS)
	set(PLUG_PC_LIBS "-L\${libdir} -lplug")
	set(PLUG_PC_LIBS_PRIVATE "-pthread")
	set(PLUG_PC_CLIENT_LIBS "-L\${libdir} -lplug_client")
	set(PLUG_PC_CLIENT_LIBS_PRIVATE "-pthread")
	set(PLUG_PC_REQUIRES "")
	set(PLUG_PC_REQUIRES_PRIVATE "libprotobuf-c >= 1.4.1")
else()
	set(PLUG_PC_LIBS "-L\${libdir} -lplug -lplug_shared -lplug_proto -pthread")
	set(PLUG_PC_LIBS_PRIVATE "")
	set(PLUG_PC_CLIENT_LIBS "-L\${libdir} -lplug_client -lplug_shared -lplug_proto -pthread")
	set(PLUG_PC_CLIENT_LIBS_PRIVATE "")
	set(PLUG_PC_REQUIRES "libprotobuf-c >= 1.4.1")
	set(PLUG_PC_REQUIRES_PRIVATE "")
endif()
foreach(pc plug plug-client)
	configure_file(tools/cmake/${pc}.pc.in ${PROJECT_BINARY_DIR}/${pc}.pc @ONLY)
	install(FILES ${PROJECT_BINARY_DIR}/${pc}.pc DESTINATION ${PLUG_PC_DIR} COMPONENT sdk)
endforeach()

# ---- manual pages written by hand; plugctl's is generated

foreach(page plugd.8 plugd.yaml.5 plugin.yaml.5)
	if(EXISTS ${PROJECT_SOURCE_DIR}/docs/man/${page})
		string(REGEX REPLACE ".*\\." "" section ${page})
		install(FILES docs/man/${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
	endif()
endforeach()
