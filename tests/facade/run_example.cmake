# Runs the program examples/NAME.cc with a small tuned model and without one, and looks for it in docs/library.md.
# cmake -DNAME=chat -DPROGRAM=... -DROOT=the project -DWORK=a folder -DEMULATOR=... -P run_example.cmake
file(REMOVE_RECURSE ${WORK})
file(COPY ${ROOT}/tests/data/golden/head128_fp16/ DESTINATION ${WORK}/model)
file(COPY ${ROOT}/tests/data/tokenizer/tokenizer.json DESTINATION ${WORK}/model)
file(WRITE ${WORK}/lines "Hi\nAgain\n")
# Ends the replies of untrained weights.
file(WRITE ${WORK}/model/stablelm_chat.json
     "{\"template\": \"stablelm-tuned\", \"system\": \"S\", \"generation\": {\"temperature\": 0, \"max_new_tokens\": 4}}")
set(arguments "")
if(NAME STREQUAL "chat")
  set(expected "^> [^\n]+")
elseif(NAME STREQUAL "continue_text")
  set(expected "\n8 ids\n$")
elseif(NAME STREQUAL "load")
  set(expected "^model: [0-9]+ parameters, fp16, context 256, licence not said\ntemplate stablelm-tuned\nweights .*bytes\n$")
elseif(NAME STREQUAL "many_requests")
  set(expected "^.*\n\\((length|stop)\\)\n.*\n\\((length|stop)\\)\n$")
elseif(NAME STREQUAL "score")
  set(arguments "Hello, world")
  set(expected "expected  \".*sum -[0-9.]+\n$")
endif()
execute_process(COMMAND ${EMULATOR} ${PROGRAM} ${WORK}/model ${arguments} INPUT_FILE ${WORK}/lines
                OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
if(NOT code EQUAL 0 OR NOT out MATCHES "${expected}")
  message(FATAL_ERROR "exit code ${code}: ${out}${err}")
endif()
execute_process(COMMAND ${EMULATOR} ${PROGRAM} ${WORK}/nothing ${arguments} INPUT_FILE ${WORK}/lines
                OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
if(NOT code EQUAL 1 OR NOT err MATCHES "^error: [^\n]*nothing")
  message(FATAL_ERROR "a model that is not there: exit code ${code}: ${err}")
endif()

file(READ ${ROOT}/examples/${NAME}.cc program)
file(READ ${ROOT}/docs/library.md page)
string(FIND "${page}" "```cpp\n${program}```" at)
if(at EQUAL -1)
  message(FATAL_ERROR "docs/library.md does not show examples/${NAME}.cc as it is")
endif()
