//! The description (OpenAPI 3.1) of the emulated part of Scalekit's REST API, made from its descriptors.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};
use serde_json::{Map, Value, json};

use super::examples;
use super::rest::descriptors;
use crate::domain::api_error::ApiErrorCode;
use crate::domain::scalekit_api::{Binding, Method, methods};
use crate::http::api_error::TYPE_URL;
use crate::http::context::Ctx;

const ABOUT: &str = "Every other path of Scalekit's API answers 501 with the name of its method. Names come in snake_case or \
    lowerCamelCase, numbers also as texts, enums also as numbers; what is not described is ignored.";

/// Levels of messages inside of each other whose fields are parameters of a query.
const QUERY_DEPTH: usize = 2;

/// `GET /api/v1/openapi.json`
pub async fn show(Ctx(_): Ctx) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}

/// The description as JSON, made once: responses that wait to be taken share it.
pub fn document() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| build().to_string().into());
    DOCUMENT.clone()
}

/// The table of docs/COMPATIBILITY.md.
pub fn emulated_methods_markdown() -> String {
    let mut out = String::from("| method | REST | what it does |\n|---|---|---|\n");
    for method in emulated() {
        let rest = method.bindings.iter().map(|b| format!("`{} {}`", b.verb, b.path)).collect::<Vec<_>>();
        let about = about_method(method).unwrap_or_default();
        out.push_str(&format!("| `{}` | {} | {about} |\n", method.path(), rest.join("<br>")));
    }
    out
}

fn emulated() -> impl Iterator<Item = &'static Method> {
    methods().iter().filter(|method| method.is_emulated)
}

/// Requests have rules; responses have all fields that need no presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    Request,
    Response,
}

fn build() -> Value {
    let mut schemas = Schemas::default();
    let mut paths = Map::new();
    for method in emulated() {
        for (number, binding) in method.bindings.iter().enumerate() {
            let operation = operation(method, binding, number, &mut schemas);
            let path = paths.entry(binding.path).or_insert_with(|| json!({}));
            path[binding.verb.to_lowercase()] = operation;
        }
    }
    schemas.write_all();
    schemas.written.insert("ApiErrorBody".to_owned(), error_body());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Scalekit's REST API, as far as Vestibule emulates it",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        // Relative to this document, so that it is right under every name of the server and in every environment.
        "servers": [{ "url": "../..", "description": "The environment that this document is from" }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": schemas.written,
            "securitySchemes": {
                "client_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The access token of client_credentials, from /oauth/token.",
                },
            },
        },
    })
}

fn tags() -> Value {
    let services: BTreeSet<_> = emulated().map(|method| method.service).collect();
    services
        .into_iter()
        .map(|service| {
            let about = descriptors()
                .get_service_by_name(service)
                .and_then(|service| comment(&service.parent_file(), service.path()));
            json!({ "name": short(service), "description": about.unwrap_or_else(|| service.to_owned()) })
        })
        .collect()
}

/// The last part of a name.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn about_method(method: &Method) -> Option<String> {
    let service = descriptors().get_service_by_name(method.service)?;
    let found = service.methods().find(|found| found.name() == method.name)?;
    comment(&found.parent_file(), found.path())
}

fn operation(method: &Method, binding: &Binding, number: usize, schemas: &mut Schemas) -> Value {
    let service = short(method.service);
    let suffix = if number == 0 { String::new() } else { format!("_{}", number + 1) };
    let mut operation = json!({
        "operationId": format!("{service}_{}{suffix}", method.name),
        "tags": [service],
        "summary": about_method(method).unwrap_or_else(|| method.name.to_owned()),
        "x-grpc-method": method.path(),
        "security": if method.is_public { json!([]) } else { json!([{ "client_token": [] }]) },
    });
    let mut parameters = vec![];
    if let Some(input) = descriptors().get_message_by_name(method.input) {
        let mut bound = vec![];
        for field in input.fields().filter(|field| binding.path.contains(&format!("{{{}}}", field.name()))) {
            bound.push(field.name().to_owned());
            parameters.push(parameter("path", field.name(), &field, schemas));
        }
        match binding.body {
            "" => {}
            "*" => operation["requestBody"] = body(schemas.refer(&input, Direction::Request), true),
            name => {
                if let Some(field) = input.get_field_by_name(name) {
                    let is_required = is_required(&field);
                    operation["requestBody"] =
                        body(schemas.of_field(&field, Direction::Request), is_required);
                }
                bound.push(name.to_owned());
            }
        }
        if binding.body != "*" {
            for field in input.fields().filter(|field| !bound.iter().any(|name| name == field.name())) {
                query_parameters(field.name(), &field, QUERY_DEPTH, schemas, &mut parameters);
            }
        }
    }
    operation["responses"] = responses(method, binding, !parameters.is_empty(), schemas);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    operation
}

#[expect(clippy::needless_pass_by_value, reason = "made for it alone")]
fn body(schema: Value, is_required: bool) -> Value {
    json!({ "required": is_required, "content": { "application/json": { "schema": schema } } })
}

fn parameter(place: &str, name: &str, field: &FieldDescriptor, schemas: &mut Schemas) -> Value {
    let mut schema = schemas.of_field(field, Direction::Request);
    let mut parameter =
        json!({ "in": place, "name": name, "required": place == "path" || is_required(field) });
    if let Some(about) = schema.as_object_mut().and_then(|schema| schema.remove("description")) {
        parameter["description"] = about;
    }
    // A value of a path is never empty.
    if place == "path"
        && schema.get("type").is_some_and(|kind| kind == "string")
        && schema.get("minLength").is_none()
    {
        schema["minLength"] = 1.into();
    }
    parameter["schema"] = schema;
    parameter
}

/// A field, or those inside of it by their dotted names.
fn query_parameters(
    name: &str,
    field: &FieldDescriptor,
    depth: usize,
    schemas: &mut Schemas,
    parameters: &mut Vec<Value>,
) {
    match field.kind() {
        _ if field.is_map() => {}
        Kind::Message(message) if !message.full_name().starts_with("google.protobuf.") => {
            if depth > 0 && !field.is_list() {
                for inner in message.fields() {
                    let name = format!("{name}.{}", inner.name());
                    query_parameters(&name, &inner, depth - 1, schemas, parameters);
                }
            }
        }
        _ => parameters.push(parameter("query", name, field, schemas)),
    }
}

fn responses(method: &Method, binding: &Binding, has_parameters: bool, schemas: &mut Schemas) -> Value {
    let output = descriptors().get_message_by_name(method.output);
    let schema = output.map(|output| schemas.refer(&output, Direction::Response)).unwrap_or_default();
    let mut responses = Map::new();
    let success =
        json!({ "description": "It went well.", "content": { "application/json": { "schema": schema } } });
    responses.insert(method.success_status.to_string(), success);
    let has_body = !binding.body.is_empty();
    for (status, about, occurs) in [
        (
            "400",
            "A field is missing or wrong, or the state of things does not allow it.",
            has_parameters || has_body,
        ),
        ("401", "No token of a client, or one that is not valid any more.", !method.is_public),
        ("403", "The token belongs to a user.", !method.is_public),
        ("404", "Something with this id does not exist.", !method.is_public),
        ("409", "Another record has this value already.", !method.is_public && has_body),
        ("413", "The body is larger than 64 KiB.", has_body),
        ("429", "Too often; Retry-After says when to try again.", !method.is_public && has_body),
        ("503", "The database does not answer.", true),
    ] {
        if occurs {
            let schema = json!({ "$ref": "#/components/schemas/ApiErrorBody" });
            let error = json!({
                "description": about,
                "content": { "application/json": { "schema": schema } },
                "x-error-codes": error_codes(status, method.service),
            });
            responses.insert(status.to_owned(), error);
        }
    }
    responses.into()
}

/// What `error_code` may be in a response with this status.
fn error_codes(status: &str, service: &str) -> Vec<&'static str> {
    let occurs = |code: &ApiErrorCode| match code {
        ApiErrorCode::InvalidCode
        | ApiErrorCode::InvalidLinkToken
        | ApiErrorCode::AuthRequestMismatch
        | ApiErrorCode::AuthRequestExpired
        | ApiErrorCode::AuthRequestAlreadyUsed
        | ApiErrorCode::AuthRequestNotFound
        | ApiErrorCode::TooManyAttempts
        | ApiErrorCode::PasswordlessDisabled
        | ApiErrorCode::DisposableOrPublicEmail => service.ends_with(".PasswordlessService"),
        ApiErrorCode::RoleKeynameConflict => service.ends_with(".RolesService"),
        ApiErrorCode::UserLimitReached => service.ends_with(".UserService"),
        ApiErrorCode::UnknownMethod | ApiErrorCode::MethodNotAllowed | ApiErrorCode::NotEmulated => false,
        _ => true,
    };
    let found = ApiErrorCode::ALL.into_iter().filter(|code| code.http_status().to_string() == status);
    found.filter(occurs).map(ApiErrorCode::as_str).collect()
}

/// An error, as Scalekit's gateway writes it.
fn error_body() -> Value {
    let mut info = Schemas::default();
    let detail = descriptors().get_message_by_name("scalekit.v1.errdetails.ErrorInfo");
    let mut detail = detail.map(|message| info.inline(&message)).unwrap_or_default();
    detail["properties"]["@type"] = json!({ "const": TYPE_URL });
    json!({
        "type": "object",
        "description": "An error. What programs act upon is `details[0].error_code`.",
        "required": ["code", "message", "details"],
        "properties": {
            "code": { "type": "integer", "description": "Number of the gRPC status." },
            "message": { "type": "string" },
            "details": { "type": "array", "items": detail },
        },
    })
}

/// The schemas of messages, each written once for each direction.
#[derive(Default)]
struct Schemas {
    open: Vec<(MessageDescriptor, Direction)>,
    seen: BTreeSet<String>,
    written: Map<String, Value>,
}

impl Schemas {
    /// A reference to the schema of a message, which is written in the end.
    fn refer(&mut self, message: &MessageDescriptor, direction: Direction) -> Value {
        if let Some(schema) = well_known(message) {
            return schema;
        }
        let name = name_of(message, direction);
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        if self.seen.insert(name) {
            self.open.push((message.clone(), direction));
        }
        reference
    }

    fn write_all(&mut self) {
        while let Some((message, direction)) = self.open.pop() {
            let schema = self.of_message(&message, direction);
            self.written.insert(name_of(&message, direction), schema);
        }
    }

    fn of_message(&mut self, message: &MessageDescriptor, direction: Direction) -> Value {
        let mut schema = json!({ "type": "object" });
        if let Some(about) = comment(&message.parent_file(), message.path()) {
            schema["description"] = about.into();
        }
        let (mut properties, mut required) = (Map::new(), vec![]);
        for field in message.fields() {
            let is_set_by_server = behaviors(&field).iter().any(|behavior| behavior == "OUTPUT_ONLY");
            if direction == Direction::Request && is_set_by_server {
                continue;
            }
            let is_required = match direction {
                Direction::Request => is_required(&field),
                Direction::Response => !field.supports_presence(),
            };
            if is_required {
                required.push(field.name().to_owned());
            }
            properties.insert(field.name().to_owned(), self.of_field(&field, direction));
        }
        schema["properties"] = properties.into();
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        schema
    }

    /// The schema of a message with those inside of it in place.
    fn inline(&mut self, message: &MessageDescriptor) -> Value {
        let mut properties = Map::new();
        for field in message.fields() {
            let schema = match field.kind() {
                Kind::Message(inner) => self.inline(&inner),
                kind => self.of_kind(&kind, Direction::Response),
            };
            let schema = if field.is_list() { json!({ "type": "array", "items": schema }) } else { schema };
            properties.insert(field.name().to_owned(), schema);
        }
        json!({ "type": "object", "properties": properties })
    }

    fn of_field(&mut self, field: &FieldDescriptor, direction: Direction) -> Value {
        let rules = if direction == Direction::Request { rules(field) } else { None };
        let mut schema = if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let mut values = self.of_kind(&entry.map_entry_value_field().kind(), direction);
            let map = part(rules.as_ref(), "map");
            constrain(&mut values, part(map.as_ref(), "values").as_ref());
            let mut schema = json!({ "type": "object", "additionalProperties": values });
            let mut keys = json!({});
            constrain(&mut keys, part(map.as_ref(), "keys").as_ref());
            if keys.as_object().is_some_and(|keys| !keys.is_empty()) {
                schema["propertyNames"] = keys;
            }
            copy(
                &mut schema,
                map.as_ref(),
                &[("min_pairs", "minProperties"), ("max_pairs", "maxProperties")],
            );
            schema
        } else if field.is_list() {
            let mut items = self.of_kind(&field.kind(), direction);
            let list = part(rules.as_ref(), "repeated");
            constrain(&mut items, part(list.as_ref(), "items").as_ref());
            let mut schema = json!({ "type": "array", "items": items });
            let names = [("min_items", "minItems"), ("max_items", "maxItems"), ("unique", "uniqueItems")];
            copy(&mut schema, list.as_ref(), &names);
            schema
        } else {
            let mut schema = self.of_kind(&field.kind(), direction);
            constrain(&mut schema, rules.as_ref());
            schema
        };
        if let Some(about) = comment(&field.parent_message().parent_file(), field.path()) {
            schema["description"] = about.into();
        }
        add_example(&mut schema, field);
        if field.field_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
            schema["deprecated"] = true.into();
        }
        schema
    }

    fn of_kind(&mut self, kind: &Kind, direction: Direction) -> Value {
        match kind {
            Kind::String => json!({ "type": "string" }),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
            Kind::Uint32 | Kind::Fixed32 => {
                json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": u32::MAX })
            }
            // They do not fit into JavaScript's numbers.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({ "type": "string", "pattern": "^-?[0-9]+$" })
            }
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "pattern": "^[0-9]+$" }),
            Kind::Float | Kind::Double => json!({ "type": "number" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Enum(kind) => json!({ "type": "string", "enum": names_of(kind) }),
            Kind::Message(message) => self.refer(message, direction),
        }
    }
}

/// Where a text is no choice among some, an example says more than its type.
fn add_example(schema: &mut Value, field: &FieldDescriptor) {
    let schema = if field.is_list() { &mut schema["items"] } else { schema };
    let is_text =
        schema["type"] == "string" && schema.get("enum").is_none() && schema["format"] != "date-time";
    if is_text && let Some(example) = examples::text(field.parent_message().name(), field.name()) {
        schema["examples"] = json!([example]);
    }
}

/// One name for each number.
fn names_of(kind: &EnumDescriptor) -> Vec<String> {
    let mut seen = BTreeSet::new();
    kind.values().filter(|value| seen.insert(value.number())).map(|value| value.name().to_owned()).collect()
}

fn name_of(message: &MessageDescriptor, direction: Direction) -> String {
    let name = message.full_name().trim_start_matches("scalekit.v1.");
    match direction {
        Direction::Request => format!("{name}.Input"),
        Direction::Response => name.to_owned(),
    }
}

/// The JSON of Google's own messages.
fn well_known(message: &MessageDescriptor) -> Option<Value> {
    Some(match message.full_name().strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({ "type": "string", "format": "date-time" }),
        "Duration" => json!({ "type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?s$" }),
        "FieldMask" | "StringValue" => json!({ "type": "string" }),
        "BoolValue" => json!({ "type": "boolean" }),
        "Int32Value" => json!({ "type": "integer", "format": "int32" }),
        "UInt32Value" => json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": u32::MAX }),
        "Int64Value" | "UInt64Value" => json!({ "type": "string", "pattern": "^-?[0-9]+$" }),
        "FloatValue" | "DoubleValue" => json!({ "type": "number" }),
        "Struct" | "Empty" | "Any" => json!({ "type": "object" }),
        "ListValue" => json!({ "type": "array", "items": {} }),
        _ => json!({}),
    })
}

/// A comment of the .proto file, as one paragraph.
fn comment(file: &FileDescriptor, path: &[i32]) -> Option<String> {
    let locations = &file.file_descriptor_proto().source_code_info.as_ref()?.location;
    let text = locations.iter().find(|location| location.path == path)?.leading_comments();
    Some(text.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty())
}

fn rules(field: &FieldDescriptor) -> Option<DynamicMessage> {
    let extension = descriptors().get_extension_by_name("buf.validate.field")?;
    let options = field.options();
    options
        .has_extension(&extension)
        .then(|| options.get_extension(&extension).as_message().cloned())
        .flatten()
}

/// The names of `google.api.field_behavior`.
fn behaviors(field: &FieldDescriptor) -> Vec<String> {
    let Some(extension) = descriptors().get_extension_by_name("google.api.field_behavior") else {
        return vec![];
    };
    let Kind::Enum(kind) = extension.kind() else { return vec![] };
    let options = field.options();
    let numbers = options.get_extension(&extension);
    let numbers = numbers.as_list().unwrap_or_default().iter().filter_map(|number| number.as_enum_number());
    numbers.filter_map(|number| Some(kind.get_value(number)?.name().to_owned())).collect()
}

/// Does a request without this field break a rule?
fn is_required(field: &FieldDescriptor) -> bool {
    let Some(rules) = rules(field) else { return false };
    let is_required =
        rules.get_field_by_name("required").and_then(|value| value.as_bool()).unwrap_or_default();
    let text = part(Some(&rules), "string");
    let is_never_empty = number(text.as_ref(), "min_len").is_some_and(|length| length != json!(0));
    is_required || (is_never_empty && !field.supports_presence())
}

/// Writes rules of a single value into its schema.
fn constrain(schema: &mut Value, rules: Option<&DynamicMessage>) {
    let text = part(rules, "string");
    copy(
        schema,
        text.as_ref(),
        &[("min_len", "minLength"), ("max_len", "maxLength"), ("pattern", "pattern")],
    );
    if let Some(text) = &text {
        let word = |name: &str| text.get_field_by_name(name).and_then(|v| v.as_str().map(str::to_owned));
        let is = |name: &str| text.get_field_by_name(name).and_then(|v| v.as_bool()).unwrap_or_default();
        if let Some(prefix) =
            word("prefix").filter(|prefix| !prefix.is_empty() && schema.get("pattern").is_none())
        {
            schema["pattern"] = format!("^{prefix}").into();
        }
        if is("email") {
            schema["format"] = "email".into();
        }
        if is("uri") {
            schema["format"] = "uri".into();
        }
        let choices = text.get_field_by_name("in").and_then(|choices| choices.as_list().map(<[_]>::to_vec));
        let choices: Vec<_> =
            choices.unwrap_or_default().iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
        if !choices.is_empty() {
            schema["enum"] = choices.into();
        }
    }
    for kind in ["int32", "uint32"] {
        let numbers = part(rules, kind);
        let names =
            [("gte", "minimum"), ("lte", "maximum"), ("gt", "exclusiveMinimum"), ("lt", "exclusiveMaximum")];
        copy(schema, numbers.as_ref(), &names);
    }
}

/// Copies what is set under another name.
fn copy(schema: &mut Value, rules: Option<&DynamicMessage>, names: &[(&str, &str)]) {
    for (rule, name) in names {
        if let Some(value) = number(rules, rule) {
            schema[*name] = value;
        }
    }
}

fn part(rules: Option<&DynamicMessage>, name: &str) -> Option<DynamicMessage> {
    let rules = rules.filter(|rules| rules.has_field_by_name(name))?;
    rules.get_field_by_name(name)?.as_message().cloned()
}

/// A value that is set, as JSON.
fn number(rules: Option<&DynamicMessage>, name: &str) -> Option<Value> {
    use prost_reflect::Value as Field;
    let rules = rules.filter(|rules| rules.has_field_by_name(name))?;
    Some(match rules.get_field_by_name(name)?.as_ref() {
        Field::U64(number) => (*number).into(),
        Field::I64(number) => (*number).into(),
        Field::U32(number) => (*number).into(),
        Field::I32(number) => (*number).into(),
        Field::Bool(value) => (*value).into(),
        Field::String(text) => text.as_str().into(),
        _ => return None,
    })
}
