# One interface target carries the flags, one function makes each kind of target.

include(CheckCCompilerFlag)

# gcc for x86 clears a struct of more than a line or two with `rep stos`, which takes longer to begin than memset().
check_c_compiler_flag(-mmemset-strategy=libcall:-1:noalign PLUG_HAS_MEMSET_STRATEGY)

add_library(plug_flags INTERFACE)
target_compile_definitions(plug_flags INTERFACE _GNU_SOURCE)
target_compile_options(plug_flags INTERFACE
	-Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes
	-Wwrite-strings -Wvla -Wno-missing-field-initializers
	-fno-strict-aliasing -fstack-protector-strong -fvisibility=hidden
	$<$<BOOL:${PLUG_HAS_MEMSET_STRATEGY}>:-mmemset-strategy=libcall:-1:noalign>
	$<$<BOOL:${PLUG_WERROR}>:-Werror>)
target_link_options(plug_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,--as-needed)
if(PLUG_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
		message(FATAL_ERROR "PLUG_FUZZ=ON needs clang, the compiler is ${CMAKE_C_COMPILER_ID}; use -DCMAKE_C_COMPILER=clang")
	endif()
	target_compile_options(plug_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(PLUG_SANITIZE)
	target_compile_options(plug_flags INTERFACE -fsanitize=${PLUG_SANITIZE} -fno-omit-frame-pointer
		-fno-sanitize-recover=all)
	target_link_options(plug_flags INTERFACE -fsanitize=${PLUG_SANITIZE})
endif()

# plug_library(NAME n SOURCES a.c… [LINK x…] [PUBLIC_INCLUDE dir…]): a static library of one folder.
function(plug_library)
	cmake_parse_arguments(A "" "NAME" "SOURCES;LINK;PUBLIC_INCLUDE" ${ARGN})
	add_library(${A_NAME} STATIC ${A_SOURCES})
	target_include_directories(${A_NAME} PUBLIC ${A_PUBLIC_INCLUDE})
	target_link_libraries(${A_NAME} PUBLIC ${A_LINK} PRIVATE $<BUILD_INTERFACE:plug_flags>)
endfunction()

# plug_program(NAME n SOURCES a.c… [LINK x…] [OUTPUT_DIR d]): an executable.
function(plug_program)
	cmake_parse_arguments(A "" "NAME;OUTPUT_DIR" "SOURCES;LINK" ${ARGN})
	add_executable(${A_NAME} ${A_SOURCES})
	target_link_libraries(${A_NAME} PRIVATE ${A_LINK} plug_flags)
	set_target_properties(${A_NAME} PROPERTIES PLUG_HOLDS_LIBRARIES ON) # see plug_hold()
	if(A_OUTPUT_DIR)
		set_target_properties(${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${A_OUTPUT_DIR})
	else()
		set_target_properties(${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
	endif()
endfunction()

# plug_plugin(NAME echo FOLDER interfaces/echo SOURCES main.c [LINK x…] [FILES f…]):
# a plugin's executable beside its manifest in the build tree's plugins/ folder, ready to run, and installed alike.
function(plug_plugin)
	cmake_parse_arguments(A "" "NAME;FOLDER" "SOURCES;LINK;FILES" ${ARGN})
	set(dir ${PROJECT_BINARY_DIR}/plugins/${A_FOLDER})
	plug_program(NAME ${A_NAME}-plugin SOURCES ${A_SOURCES} LINK plug_plugin_sdk ${A_LINK} OUTPUT_DIR ${dir})
	foreach(file plugin.yaml ${A_FILES})
		if(IS_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/${file})
			file(GLOB_RECURSE inner RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS ${file}/*)
		else()
			set(inner ${file})
		endif()
		foreach(one ${inner})
			configure_file(${one} ${dir}/${one} COPYONLY)
			get_filename_component(sub ${one} DIRECTORY)
			install(FILES ${one} DESTINATION ${CMAKE_INSTALL_LIBDIR}/plug/plugins/${A_FOLDER}/${sub})
		endforeach()
	endforeach()
	install(TARGETS ${A_NAME}-plugin DESTINATION ${CMAKE_INSTALL_LIBDIR}/plug/plugins/${A_FOLDER})
endfunction()

# plug_test(NAME lifecycle SOURCES test_lifecycle.c LINK plugd_core): a cmocka unit test.
function(plug_test)
	cmake_parse_arguments(A "" "NAME" "SOURCES;LINK" ${ARGN})
	add_executable(test_${A_NAME} ${A_SOURCES})
	target_link_libraries(test_${A_NAME} PRIVATE ${A_LINK} plug_flags PkgConfig::CMOCKA)
	target_include_directories(test_${A_NAME} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support)
	set_target_properties(test_${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
	add_test(NAME unit_${A_NAME} COMMAND test_${A_NAME} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
	set_tests_properties(unit_${A_NAME} PROPERTIES TIMEOUT 300 LABELS unit)
endfunction()
