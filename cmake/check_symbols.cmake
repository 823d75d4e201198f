# cmake -DNM=nm -DARCHIVE=libx.a -P check_symbols.cmake
#
# Fails when the archive leaves a symbol undefined that a floor without an operating system must not ask for:
# the heap, a throw, a clock, a thread, standard output.
execute_process(COMMAND ${NM} -u -A ${ARCHIVE} OUTPUT_VARIABLE listing ERROR_VARIABLE problem RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${NM} ${ARCHIVE}: ${problem}")
endif()
set(forbidden
  "(malloc|calloc|realloc|free|aligned_alloc|posix_memalign|_malloc_r|_free_r|mmap|brk|sbrk"
  "|_Zn[wa][a-zA-Z0-9_]*|_Zd[la][a-zA-Z0-9_]*"
  "|__cxa_throw|__cxa_rethrow|__cxa_allocate_exception|_ZSt[0-9]+__throw_[a-z_]+[a-zA-Z0-9]*|__dynamic_cast"
  "|clock_gettime|gettimeofday|time|nanosleep|usleep|rand|random|getrandom|getentropy"
  "|pthread_[a-z_]+|__cxa_guard_acquire|__emutls_get_address|__tls_get_addr"
  "|open|close|read|write|socket|ioctl|printf|fprintf|puts|getenv|_ZSt4cout|_ZSt4cerr)")
string(CONCAT forbidden ${forbidden})
string(REPLACE ";" "," listing "${listing}")
string(REPLACE "\n" ";" lines "${listing}")
set(found)
foreach(line IN LISTS lines)
  if(line MATCHES " [Uw] ${forbidden}$")
    list(APPEND found "${line}")
  endif()
endforeach()
if(found)
  list(JOIN found "\n  " text)
  message(FATAL_ERROR "symbols that this floor must not need:\n  ${text}")
endif()
