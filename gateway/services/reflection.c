/* grpc.reflection.v1.ServerReflection: what this port serves, and the record types. */
#include <string.h>

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "rpc/server.h"
#include "schema/descriptor.h"
#include "services/gateway.h"
#include "services/services.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;

enum {
    REFLECTION_FILES_MAX = 256,
    REFLECTION_UNSENT_MAX = 1024 * 1024,
    REFLECTION_QUESTIONS_MAX = 1000, /* each one's answer lives as long as its stream */
};

struct reflection {
    unsigned asked;
};

static int send_response(struct call *call, const reflection_response *response)
{
    /* A caller that asks and never reads must not fill our memory. */
    if (call_unsent(call) > REFLECTION_UNSENT_MAX)
        return err_set(&call->err, ERR_RESOURCE_EXHAUSTED, "READER_TOO_SLOW",
                       "read the answers before asking more");
    size_t len = grpc__reflection__v1__server_reflection_response__get_packed_size(response);
    uint8_t *bytes = arena_alloc(&call->arena, len);
    (void)grpc__reflection__v1__server_reflection_response__pack(response, bytes);
    return call_send(call, bytes, len);
}

static int send_error(struct call *call, reflection_response *response, enum err_code code,
                      const char *text)
{
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    error.error_code = err_grpc_status(code);
    error.error_message = (char *)text;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response->error_response = &error;
    return send_response(call, response);
}

/* --- files -------------------------------------------------------------------------------------- */

struct file_list {
    const char *names[REFLECTION_FILES_MAX];
    ProtobufCBinaryData bytes[REFLECTION_FILES_MAX];
    size_t count;
};

static void add_file(const struct schema_set *set, const char *name, struct file_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0)
            return;
    struct slice file = schema_set_file(set, name);
    if (file.len == 0 || list->count == REFLECTION_FILES_MAX)
        return;
    list->names[list->count] = name;
    list->bytes[list->count] =
        (ProtobufCBinaryData){ .len = file.len, .data = (uint8_t *)file.data };
    list->count++;
    const char *const *imports = schema_set_imports(set, name);
    for (; imports != NULL && *imports != NULL; imports++)
        add_file(set, *imports, list);
}

/* Record types are shown only to callers that see a dataset of the type. */
static bool sees_file(const struct call *call, const char *file)
{
    const struct gateway *gateway = call->context;
    const struct schema_set *types = schema_bundle_types(gateway->bundle);
    for (size_t i = 0; i < gateway->dataset_count; i++) {
        const struct schema_dataset *dataset = gateway->datasets[i].dataset;
        if (!authz_sees_dataset(gateway->authz, &call->identity, dataset, NULL))
            continue;
        struct file_list list = { .count = 0 };
        add_file(types, dataset->type->file, &list);
        for (size_t f = 0; f < list.count; f++)
            if (strcmp(list.names[f], file) == 0)
                return true;
    }
    return false;
}

static int answer_file(struct call *call, reflection_response *response, const char *file,
                       const char *symbol)
{
    const struct gateway *gateway = call->context;
    const struct schema_set *set = rpc_api_types();
    const char *name = file != NULL ? file : schema_set_file_of_symbol(set, symbol);
    if (name == NULL || schema_set_file(set, name).len == 0) {
        set = schema_bundle_types(gateway->bundle);
        if (set == NULL)
            return send_error(call, response, ERR_NOT_FOUND, "no such file or symbol");
        name = file != NULL ? file : schema_set_file_of_symbol(set, symbol);
        if (name == NULL || schema_set_file(set, name).len == 0 || !sees_file(call, name))
            return send_error(call, response, ERR_NOT_FOUND, "no such file or symbol");
    }
    struct file_list *list = arena_alloc(&call->arena, sizeof *list);
    add_file(set, name, list);
    Grpc__Reflection__V1__FileDescriptorResponse files =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    files.n_file_descriptor_proto = list->count;
    files.file_descriptor_proto = list->bytes;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    response->file_descriptor_response = &files;
    return send_response(call, response);
}

/* --- services ----------------------------------------------------------------------------------- */

static bool served_here(const struct call *call, const struct schema_service *service)
{
    enum rpc_listener port = call->officers_port ? RPC_OFFICERS : RPC_SYSTEMS;
    size_t len = strlen(service->full_name);
    for (const struct rpc_method *const *m = services_methods; *m != NULL; m++)
        if (((*m)->listeners & port) != 0 &&
            strncmp((*m)->path + 1, service->full_name, len) == 0 && (*m)->path[len + 1] == '/')
            return true;
    return false;
}

static int answer_services(struct call *call, reflection_response *response)
{
    const struct schema_set *types = rpc_api_types();
    size_t count = schema_set_service_count(types);
    Grpc__Reflection__V1__ListServiceResponse services =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    services.service = arena_array(&call->arena, count, sizeof *services.service);
    for (size_t i = 0; i < count; i++) {
        const struct schema_service *service = schema_set_service(types, i);
        if (!served_here(call, service))
            continue;
        Grpc__Reflection__V1__ServiceResponse *item = arena_alloc(&call->arena, sizeof *item);
        grpc__reflection__v1__service_response__init(item);
        item->name = (char *)service->full_name;
        services.service[services.n_service++] = item;
    }
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    response->list_services_response = &services;
    return send_response(call, response);
}

static enum step_result reflection_message(struct call *call, const ProtobufCMessage *message)
{
    const reflection_request *request = (const reflection_request *)(const void *)message;
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    struct reflection *reflection = call->state;
    if (++reflection->asked > REFLECTION_QUESTIONS_MAX) {
        (void)err_set(&call->err, ERR_RESOURCE_EXHAUSTED, "QUESTIONS_FULL",
                      "one stream answers at most %d questions; open another",
                      REFLECTION_QUESTIONS_MAX);
        return STEP_FAIL;
    }
    response.valid_host = request->host;
    response.original_request = (reflection_request *)request;
    int result = 0;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        result = answer_services(call, &response);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        result = answer_file(call, &response, request->file_by_filename, NULL);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        result = answer_file(call, &response, NULL, request->file_containing_symbol);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        result = send_error(call, &response, ERR_NOT_FOUND, "no such extension");
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__NOT_SET:
    case _GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__CASE_IS_INT_SIZE:
        result = send_error(call, &response, ERR_INVALID_ARGUMENT, "the request asks nothing");
        break;
    }
    return result < 0 ? STEP_FAIL : STEP_NEXT;
}

static enum step_result reflection_wait(struct call *call)
{
    return call->half_closed ? STEP_NEXT : STEP_WAIT;
}

static const struct step reflection_steps[] = {
    { "serve", reflection_wait, reflection_wait }, /* answers go out in reflection_message */
    { NULL, NULL, NULL },
};

const struct rpc_method reflection_method = {
    .path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    .kind = RPC_BIDI_STREAM,
    .listeners = RPC_BOTH,
    .input = &grpc__reflection__v1__server_reflection_request__descriptor,
    .state_size = sizeof(struct reflection),
    .steps = reflection_steps,
    .message = reflection_message,
};
