# Runs the chat example on two lines, and on a model that does not exist.
file(REMOVE_RECURSE ${WORK})
file(COPY ${DATA}/golden/head128_fp16/ DESTINATION ${WORK}/model)
file(COPY ${DATA}/tokenizer/tokenizer.json DESTINATION ${WORK}/model)
file(WRITE ${WORK}/lines "Hi\nAgain\n")
# Ends the replies of untrained weights.
file(WRITE ${WORK}/model/stablelm_chat.json
     "{\"template\": \"stablelm-tuned\", \"system\": \"S\", \"generation\": {\"temperature\": 0, \"max_new_tokens\": 4}}")
execute_process(COMMAND ${PROGRAM} ${WORK}/model INPUT_FILE ${WORK}/lines
                OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
if(NOT code EQUAL 0 OR NOT out MATCHES "^> [^\n]+")
  message(FATAL_ERROR "exit code ${code}: ${out}${err}")
endif()
execute_process(COMMAND ${PROGRAM} ${WORK}/nothing OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
if(NOT code EQUAL 1 OR NOT err MATCHES "nothing")
  message(FATAL_ERROR "a model that is not there: exit code ${code}: ${err}")
endif()
