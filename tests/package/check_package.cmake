# cmake -DBUILD= -DTOOLS= -DSOURCE= -DWORK= -DGENERATOR= -DCOMPILER= -DLINK_FLAGS= -DRUN= -P: install, configure, build, and run these of the programs.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}: ${status}\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK}/prefix ${WORK}/build)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix --component development)
run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE} -B ${WORK}/build -DCMAKE_CXX_COMPILER=${COMPILER}
    -DCMAKE_PREFIX_PATH=${WORK}/prefix -DCMAKE_EXE_LINKER_FLAGS=${LINK_FLAGS})
run(${CMAKE_COMMAND} --build ${WORK}/build)
foreach(program ${RUN})
  run(${WORK}/build/${program})
endforeach()

# The command comes with its manual page and its completion.
if(TOOLS)
  run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix --component tools)
  foreach(file bin/leat share/man/man1/leat.1 share/bash-completion/completions/leat)
    if(NOT EXISTS ${WORK}/prefix/${file})
      message(FATAL_ERROR "not installed: ${file}")
    endif()
  endforeach()
endif()
