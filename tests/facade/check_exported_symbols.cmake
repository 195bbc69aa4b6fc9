# The shared library exports what the public headers declare, all of it and nothing else.
# cmake -DNM=nm -DLIBRARY=libstablelm.so -P check_exported_symbols.cmake
execute_process(COMMAND ${NM} -D --defined-only -C ${LIBRARY} OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE "[0-9a-f]+ [A-Za-z] " "" text "${text}")
string(REPLACE ";" "," text "${text}")
string(REPLACE "\n" ";" symbols "${text}")
foreach(symbol IN LISTS symbols)
  if(symbol AND (NOT symbol MATCHES "^((vtable|typeinfo|typeinfo name) for )?stablelm::(Version|NameOf|ModelError|LanguageModel|RequestEngine)"
     OR symbol MATCHES "::Body::"))
    message(SEND_ERROR "not of the headers: ${symbol}")
  endif()
endforeach()
foreach(wanted "stablelm::Version()" "stablelm::NameOf(stablelm::ErrorKind)" "stablelm::NameOf(stablelm::EndReason)"
        "stablelm::NameOf(stablelm::ChatTemplate)" "stablelm::NameOf(stablelm::WeightType)" "stablelm::ModelError::kind() const"
        "typeinfo for stablelm::ModelError" "stablelm::LanguageModel::Load(" "stablelm::LanguageModel::Share() const"
        "stablelm::RequestEngine::Chat(")
  string(FIND "${text}" "${wanted}" at)
  if(at EQUAL -1)
    message(SEND_ERROR "not exported: ${wanted}")
  endif()
endforeach()
