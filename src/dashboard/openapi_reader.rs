//! Reads a description (OpenAPI 3.1) into what the reference shows of it. Whatever is missing or odd in a document is left
//! out: reading never fails.

use std::collections::BTreeSet;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::http::path_segment;

/// Levels of objects inside of each other whose fields are shown.
const MAX_LEVELS: usize = 5;

/// References that lead to references.
const MAX_REFERENCES: usize = 16;

/// Levels of an example down to which it has what is optional, and at which it ends in any case.
const EXAMPLE_LEVELS: usize = 3;
const MAX_EXAMPLE_LEVELS: usize = 8;

/// Optional fields of an object that its example has.
const OPTIONAL_IN_REQUEST: usize = 5;
const OPTIONAL_IN_RESPONSE: usize = 10;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// A document.
#[derive(Debug)]
pub struct Document(Value);

/// A group of operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub name: String,
    pub title: String,
    pub about: String,
}

/// What lists show of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its name within the document.
    pub id: String,
    pub tag: String,
    /// `GET`
    pub method: String,
    pub path: String,
    pub text: String,
    pub grpc_method: Option<String>,
}

/// All of an operation.
#[derive(Debug)]
pub struct Operation {
    pub summary: Summary,
    pub description: String,
    /// Is there a way to call it with a token? Without one may be another.
    pub takes_token: bool,
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
    pub responses: Vec<Response>,
    pub example: Request,
}

#[derive(Debug)]
pub struct Parameter {
    /// `path`, `query` or `header`.
    pub place: String,
    pub field: Field,
}

#[derive(Debug)]
pub struct Body {
    pub about: String,
    pub is_required: bool,
    pub kind: Kind,
    pub fields: Vec<Field>,
}

/// A field of an object, or a parameter.
#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    pub is_required: bool,
    pub is_deprecated: bool,
    /// "at most 32 characters"
    pub limits: Vec<String>,
    pub about: String,
    /// Those of the object that it is.
    pub fields: Vec<Field>,
}

/// A type, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kind {
    pub text: String,
    /// The object that the page describes elsewhere.
    pub object: Option<String>,
}

#[derive(Debug)]
pub struct Response {
    /// `200`
    pub status: String,
    pub about: String,
    pub media_type: Option<String>,
    pub kind: Kind,
    pub fields: Vec<Field>,
    /// What `error_code` may be.
    pub error_codes: Vec<String>,
    pub example: Option<Value>,
}

impl Response {
    /// Does it say that the call succeeded?
    pub fn is_success(&self) -> bool {
        self.status.starts_with('2')
    }
}

/// An object that several operations share.
#[derive(Debug)]
pub struct Object {
    pub name: String,
    pub about: String,
    pub fields: Vec<Field>,
}

/// A call to make.
#[derive(Debug)]
pub struct Request {
    /// With its query.
    pub path: String,
    pub body: Option<Value>,
}

/// Are objects described where they are used, or once for the page?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Objects {
    Inside,
    Linked,
}

/// Who makes what an example is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

/// A schema behind its references.
struct Resolved<'d> {
    schema: &'d Value,
    /// That of the last reference.
    name: Option<&'d str>,
    about: Option<&'d str>,
    is_nullable: bool,
}

impl Document {
    /// Bytes that are no JSON are a document without operations.
    pub fn read(bytes: &[u8]) -> Self {
        Self(serde_json::from_slice(bytes).unwrap_or_default())
    }

    /// What it says of itself.
    pub fn about(&self) -> &str {
        text(&self.0["info"], "description")
    }

    /// All groups that have an operation, in the document's order.
    pub fn tags(&self) -> Vec<Tag> {
        let mut used: Vec<String> = vec![];
        for summary in self.summaries() {
            if !used.contains(&summary.tag) {
                used.push(summary.tag);
            }
        }
        let mut tags = vec![];
        for declared in list(&self.0["tags"]) {
            let name = text(declared, "name");
            if let Some(place) = used.iter().position(|used| used == name) {
                used.remove(place);
                let title = Some(text(declared, "x-displayName")).filter(|title| !title.is_empty());
                tags.push(Tag {
                    name: name.to_owned(),
                    title: title.unwrap_or(name).to_owned(),
                    about: text(declared, "description").to_owned(),
                });
            }
        }
        tags.extend(used.into_iter().map(|name| Tag { title: name.clone(), name, about: String::new() }));
        tags
    }

    /// All operations, by path.
    pub fn summaries(&self) -> Vec<Summary> {
        let paths = self.0["paths"].as_object();
        let all = paths.into_iter().flatten().flat_map(|(path, methods)| {
            METHODS
                .iter()
                .filter_map(move |method| Some(summary(path, method, methods.get(*method)?.as_object()?)))
        });
        all.collect()
    }

    /// The operations of a group.
    pub fn operations(&self, tag: &str) -> Vec<Operation> {
        let own = self.summaries().into_iter().filter(|summary| summary.tag == tag);
        own.map(|summary| self.operation(summary)).collect()
    }

    /// The operations that have all words of a text in what lists show of them.
    pub fn search(&self, words: &str) -> Vec<Summary> {
        let words: Vec<_> = words.split_whitespace().map(str::to_lowercase).collect();
        let has_all = |summary: &Summary| {
            let Summary { id, tag, method, path, text, grpc_method } = summary;
            let grpc_method = grpc_method.as_deref().unwrap_or_default();
            let all = format!("{id} {tag} {method} {path} {text} {grpc_method}").to_lowercase();
            words.iter().all(|word| all.contains(word))
        };
        self.summaries().into_iter().filter(has_all).collect()
    }

    fn operation(&self, summary: Summary) -> Operation {
        let item = &self.0["paths"][&summary.path];
        let found = &item[summary.method.to_lowercase()];
        let parameters: Vec<_> = list(&item["parameters"]).iter().chain(list(&found["parameters"])).collect();
        let body = self.follow(&found["requestBody"]);
        let body = json_content(body).map(|(_, content)| (body, content));
        let security = if found["security"].is_array() { &found["security"] } else { &self.0["security"] };
        let has_scheme = |one: &Value| one.as_object().is_some_and(|schemes| !schemes.is_empty());
        let responses = found["responses"].as_object();
        Operation {
            description: text(found, "description").to_owned(),
            takes_token: list(security).iter().any(has_scheme),
            parameters: parameters.iter().filter_map(|parameter| self.parameter(parameter)).collect(),
            body: body.map(|(body, content)| self.body(body, &content["schema"])),
            responses: responses
                .into_iter()
                .flatten()
                .map(|(status, response)| self.response(status, self.follow(response)))
                .collect(),
            example: self.request(&summary.path, &parameters, body.map(|(_, content)| content)),
            summary,
        }
    }

    fn parameter(&self, parameter: &Value) -> Option<Parameter> {
        let parameter = self.follow(parameter);
        let name = parameter["name"].as_str()?;
        let is_required = parameter["required"] == true;
        let mut field = self.field(name, &parameter["schema"], is_required, Objects::Inside, &mut vec![]);
        if !text(parameter, "description").is_empty() {
            field.about = text(parameter, "description").to_owned();
        }
        field.is_deprecated |= parameter["deprecated"] == true;
        Some(Parameter { place: text(parameter, "in").to_owned(), field })
    }

    fn body(&self, body: &Value, schema: &Value) -> Body {
        let about = Some(text(body, "description")).filter(|about| !about.is_empty());
        Body {
            about: about.or(self.resolve(schema).about).unwrap_or_default().to_owned(),
            is_required: body["required"] == true,
            kind: self.kind(schema, Objects::Inside),
            fields: self.fields(schema, Objects::Inside, &mut vec![]),
        }
    }

    fn response(&self, status: &str, response: &Value) -> Response {
        let content = response["content"].as_object().and_then(|content| content.iter().next());
        let schema = content.map_or(&Value::Null, |(_, content)| &content["schema"]);
        let kind = content.map(|_| self.kind(schema, Objects::Linked)).unwrap_or_default();
        let is_json = content.is_some_and(|(media_type, _)| media_type.ends_with("json"));
        let codes = list(&response["x-error-codes"]).iter().filter_map(Value::as_str);
        Response {
            status: status.to_owned(),
            about: text(response, "description").to_owned(),
            media_type: content.map(|(media_type, _)| media_type.clone()),
            fields: if kind.object.is_some() {
                vec![]
            } else {
                self.fields(schema, Objects::Linked, &mut vec![])
            },
            kind,
            error_codes: codes.map(str::to_owned).collect(),
            example: content
                .filter(|_| is_json)
                .map(|(_, content)| self.content_example(content, Direction::Response)),
        }
    }

    /// The objects that responses of these operations have, and those inside of them, by name.
    pub fn objects(&self, operations: &[Operation]) -> Vec<Object> {
        let mut open = vec![];
        for response in operations.iter().flat_map(|operation| &operation.responses) {
            open.extend(response.kind.object.clone());
            names_of(&response.fields, &mut open);
        }
        let mut seen = BTreeSet::new();
        let mut objects = vec![];
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let schema = &self.0["components"]["schemas"][&name];
            let fields = self.fields(schema, Objects::Linked, &mut vec![]);
            names_of(&fields, &mut open);
            let about = self.resolve(schema).about.unwrap_or_default().to_owned();
            objects.push(Object { name, about, fields });
        }
        objects.sort_by(|one, other| one.name.cmp(&other.name));
        objects
    }

    /// What a reference leads to.
    fn follow<'d>(&'d self, mut value: &'d Value) -> &'d Value {
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = value["$ref"].as_str() else { return value };
            value = self.target(reference);
        }
        &Value::Null
    }

    fn target(&self, reference: &str) -> &Value {
        reference.strip_prefix('#').and_then(|pointer| self.0.pointer(pointer)).unwrap_or(&Value::Null)
    }

    /// A schema behind references and choices between itself and `null`.
    fn resolve<'d>(&'d self, mut schema: &'d Value) -> Resolved<'d> {
        let (mut name, mut about, mut is_nullable) = (None, None, false);
        for _ in 0..MAX_REFERENCES {
            about = about.or(schema["description"].as_str());
            if let Some(reference) = schema["$ref"].as_str() {
                name = reference.strip_prefix("#/components/schemas/");
                schema = self.target(reference);
                continue;
            }
            let choices = choices(schema);
            let others: Vec<_> = choices.iter().filter(|choice| choice["type"] != "null").collect();
            match others.as_slice() {
                [only] => {
                    is_nullable |= others.len() < choices.len();
                    schema = only;
                }
                _ => break,
            }
        }
        if schema["$ref"].is_string() {
            schema = &Value::Null;
        }
        is_nullable |= list(&schema["type"]).iter().any(|kind| kind == "null");
        Resolved { schema, name, about, is_nullable }
    }

    /// Fields of an object, those of its parts and of what is listed or chosen included.
    fn fields(&self, schema: &Value, objects: Objects, above: &mut Vec<String>) -> Vec<Field> {
        let resolved = self.resolve(schema);
        let schema = resolved.schema;
        if above.len() >= MAX_LEVELS || resolved.name.is_some_and(|name| above.iter().any(|one| one == name))
        {
            return vec![];
        }
        if schema["items"].is_object() {
            return self.inner(&schema["items"], objects, above);
        }
        if choices(schema).len() > 1 {
            above.push(resolved.name.unwrap_or_default().to_owned());
            let variants = choices(schema).iter().filter(|choice| choice["type"] != "null");
            let variants = variants.map(|choice| self.variant(choice, objects, above)).collect();
            above.pop();
            return variants;
        }
        let mut properties = vec![];
        self.properties(schema, 0, &mut properties);
        if properties.is_empty() && schema["additionalProperties"].is_object() {
            return self.inner(&schema["additionalProperties"], objects, above);
        }
        above.push(resolved.name.unwrap_or_default().to_owned());
        let mut fields: Vec<_> = properties
            .into_iter()
            .map(|(name, schema, is_required)| self.field(name, schema, is_required, objects, above))
            .collect();
        above.pop();
        fields.sort_by_key(|field| (!field.is_required, field.is_deprecated));
        fields
    }

    /// Those of what a list or a map is of, unless the page describes them elsewhere.
    fn inner(&self, schema: &Value, objects: Objects, above: &mut Vec<String>) -> Vec<Field> {
        if objects == Objects::Linked && self.kind(schema, objects).object.is_some() {
            return vec![];
        }
        above.push(String::new());
        let fields = self.fields(schema, objects, above);
        above.pop();
        fields
    }

    /// One of several shapes, named by what only it has.
    fn variant(&self, schema: &Value, objects: Objects, above: &mut Vec<String>) -> Field {
        let resolved = self.resolve(schema);
        let mut properties = vec![];
        self.properties(resolved.schema, 0, &mut properties);
        let mark = properties.iter().find_map(|(name, schema, _)| {
            let value = schema.get("const").or_else(|| match list(&schema["enum"]) {
                [only] => Some(only),
                _ => None,
            });
            Some(format!("{name}: {}", plain(value?)))
        });
        let name = mark.or(resolved.name.map(str::to_owned));
        let mut field = self.field(&name.unwrap_or_default(), schema, false, objects, above);
        if field.name.is_empty() {
            field.name = std::mem::take(&mut field.kind.text);
        }
        field
    }

    fn field(
        &self,
        name: &str,
        schema: &Value,
        is_required: bool,
        objects: Objects,
        above: &mut Vec<String>,
    ) -> Field {
        let resolved = self.resolve(schema);
        let kind = self.kind(schema, objects);
        let is_named = objects == Objects::Linked && kind.object.is_some();
        Field {
            name: name.to_owned(),
            is_required,
            is_deprecated: schema["deprecated"] == true || resolved.schema["deprecated"] == true,
            limits: self.limits(schema),
            about: resolved.about.unwrap_or_default().to_owned(),
            fields: if is_named { vec![] } else { self.fields(schema, objects, above) },
            kind,
        }
    }

    /// Names, schemas and "is required" of an object's fields.
    fn properties<'d>(
        &'d self,
        schema: &'d Value,
        level: usize,
        found: &mut Vec<(&'d str, &'d Value, bool)>,
    ) {
        if level > MAX_LEVELS {
            return;
        }
        for part in list(&schema["allOf"]) {
            self.properties(self.resolve(part).schema, level.saturating_add(1), found);
        }
        let required = list(&schema["required"]);
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            found.retain(|(other, ..)| other != name);
            found.push((name, property, required.iter().any(|required| required == name)));
        }
    }

    fn kind(&self, schema: &Value, objects: Objects) -> Kind {
        let resolved = self.resolve(schema);
        let schema = resolved.schema;
        let (mut text, mut object) = match type_of(schema) {
            "array" => {
                let of = self.kind_inside(&schema["items"], objects);
                (format!("list of {}", plural(&of.text)), of.object)
            }
            "object" if schema["additionalProperties"].is_object() && schema["properties"].is_null() => {
                let of = self.kind_inside(&schema["additionalProperties"], objects);
                (format!("map to {}", plural(&of.text)), of.object)
            }
            "object" => {
                let mut properties = vec![];
                self.properties(schema, 0, &mut properties);
                let has_fields = !properties.is_empty() || choices(schema).len() > 1;
                let name = resolved.name.filter(|_| objects == Objects::Linked && has_fields);
                ("object".to_owned(), name.map(str::to_owned))
            }
            "" if choices(schema).len() > 1 => {
                let name = resolved.name.filter(|_| objects == Objects::Linked);
                ("one of several objects".to_owned(), name.map(str::to_owned))
            }
            "" => ("any value".to_owned(), None),
            "string" => match schema["format"].as_str() {
                Some("date-time") => ("time, RFC 3339".to_owned(), None),
                Some("email") => ("email address".to_owned(), None),
                Some("uri") => ("URL".to_owned(), None),
                _ => ("string".to_owned(), None),
            },
            other => (other.to_owned(), None),
        };
        if let Some(name) = &object
            && text == "object"
        {
            text = short(name).to_owned();
        }
        if resolved.is_nullable {
            text.push_str(" or null");
        }
        // A name that the document does not describe leads nowhere.
        object = object.filter(|name| self.0["components"]["schemas"][name].is_object());
        Kind { text, object }
    }

    /// The type of what a list or a map is of, in whose words lists of lists end.
    fn kind_inside(&self, schema: &Value, objects: Objects) -> Kind {
        let inner = self.resolve(schema).schema;
        let is_list = type_of(inner) == "array" || inner["additionalProperties"].is_object();
        if is_list {
            let is_array = type_of(inner) == "array";
            return Kind { text: if is_array { "list" } else { "map" }.to_owned(), object: None };
        }
        self.kind(schema, objects)
    }

    /// What a value has to be, beside of its type.
    fn limits(&self, schema: &Value) -> Vec<String> {
        let schema = self.resolve(schema).schema;
        let mut limits = vec![];
        for (schema, prefix) in [(schema, ""), (self.resolve(&schema["items"]).schema, "each ")] {
            let values: Vec<_> = list(&schema["enum"]).iter().map(plain).filter(|v| !v.is_empty()).collect();
            if !values.is_empty() {
                limits.push(format!(
                    "{prefix}{}{}",
                    if values.len() > 1 { "one of " } else { "" },
                    values.join(", ")
                ));
            }
            if let Some(value) = schema.get("const") {
                limits.push(format!("{prefix}{}", plain(value)));
            }
            for (least, most, what) in [
                ("minLength", "maxLength", "characters"),
                ("minItems", "maxItems", "entries"),
                ("minProperties", "maxProperties", "entries"),
                ("minimum", "maximum", ""),
            ] {
                let found = range(&schema[least], &schema[most], what);
                limits.extend(found.map(|text| format!("{prefix}{text}")));
            }
            if let Some(number) = schema["exclusiveMinimum"].as_f64() {
                limits.push(format!("{prefix}more than {number}"));
            }
            if let Some(number) = schema["exclusiveMaximum"].as_f64() {
                limits.push(format!("{prefix}less than {number}"));
            }
            if let Some(pattern) = schema["pattern"].as_str() {
                limits.push(format!("{prefix}matches {pattern}"));
            }
            if schema["uniqueItems"] == true {
                limits.push("no entry twice".to_owned());
            }
            if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
                limits.push(format!("default {}", plain(default)));
            }
        }
        limits
    }

    fn request(&self, path: &str, parameters: &[&Value], body: Option<&Value>) -> Request {
        let mut path = path.to_owned();
        let mut query = String::new();
        for parameter in parameters {
            let parameter = self.follow(parameter);
            let (name, own) = (text(parameter, "name"), parameter.get("example"));
            let value =
                own.cloned().unwrap_or_else(|| self.example(&parameter["schema"], 0, Direction::Request));
            let value = match &value {
                Value::Array(values) => values.first().map(plain).unwrap_or_default(),
                value => plain(value),
            };
            let value = path_segment(&value);
            match text(parameter, "in") {
                "path" => path = path.replace(&format!("{{{name}}}"), &value),
                "query" if own.is_some() || parameter["required"] == true => {
                    let mark = if query.is_empty() { '?' } else { '&' };
                    query.push_str(&format!("{mark}{name}={value}"));
                }
                _ => {}
            }
        }
        path.push_str(&query);
        Request { path, body: body.map(|content| self.content_example(content, Direction::Request)) }
    }

    fn content_example(&self, content: &Value, direction: Direction) -> Value {
        let own = content.get("example").cloned();
        own.unwrap_or_else(|| self.example(&content["schema"], 0, direction))
    }

    /// A value that this schema allows: its own example, or else one that is made of its types and limits.
    fn example(&self, schema: &Value, level: usize, direction: Direction) -> Value {
        let resolved = self.resolve(schema);
        if let Some(own) = own_example(schema).or_else(|| own_example(resolved.schema)) {
            return own;
        }
        let schema = resolved.schema;
        let next = level.saturating_add(1);
        if let Some(first) = choices(schema).iter().find(|choice| choice["type"] != "null") {
            return if level > MAX_EXAMPLE_LEVELS {
                Value::Null
            } else {
                self.example(first, next, direction)
            };
        }
        match type_of(schema) {
            "string" => example_text(schema).into(),
            "integer" | "number" => example_number(schema),
            "boolean" => true.into(),
            "array" => {
                let is_wanted = level <= EXAMPLE_LEVELS || schema["minItems"].as_u64().is_some_and(|n| n > 0);
                if level > MAX_EXAMPLE_LEVELS || !is_wanted || schema["maxItems"] == 0 {
                    return json!([]);
                }
                json!([self.example(&schema["items"], next, direction)])
            }
            "object" => self.example_object(schema, level, direction),
            _ => Value::Null,
        }
    }

    fn example_object(&self, schema: &Value, level: usize, direction: Direction) -> Value {
        let mut object = Map::new();
        if level > MAX_EXAMPLE_LEVELS {
            return object.into();
        }
        let next = level.saturating_add(1);
        let mut properties = vec![];
        self.properties(schema, 0, &mut properties);
        let is_simple = |schema: &Value| {
            let kind = type_of(self.resolve(schema).schema);
            !["object", "array", ""].contains(&kind)
        };
        // What says something about itself comes first.
        properties.sort_by_key(|(_, schema, _)| own_example(schema).is_none());
        let mut optional = match direction {
            Direction::Request => OPTIONAL_IN_REQUEST,
            Direction::Response => OPTIONAL_IN_RESPONSE,
        };
        for (name, property, is_required) in properties {
            let is_hidden = property["deprecated"] == true
                || (direction == Direction::Request && property["readOnly"] == true)
                || (level >= EXAMPLE_LEVELS - 1 && !is_simple(property));
            if !is_required && (is_hidden || optional == 0) {
                continue;
            }
            if !is_required {
                optional = optional.saturating_sub(1);
            }
            object.insert(name.to_owned(), self.example(property, next, direction));
        }
        if object.is_empty() && schema["additionalProperties"].is_object() && level <= EXAMPLE_LEVELS {
            object.insert(
                "plan".to_owned(),
                match self.example(&schema["additionalProperties"], next, direction) {
                    Value::String(text) if text == ANY_TEXT => "pro".into(),
                    other => other,
                },
            );
        }
        object.into()
    }
}

const ANY_TEXT: &str = "string";

fn summary(path: &str, method: &str, operation: &Map<String, Value>) -> Summary {
    let word = |name: &str| operation.get(name).and_then(Value::as_str);
    let tags = operation.get("tags").and_then(Value::as_array);
    let tag = tags.and_then(|tags| tags.first()).and_then(Value::as_str);
    let method = method.to_uppercase();
    Summary {
        id: word("operationId").map_or_else(|| format!("{method}-{path}"), str::to_owned),
        tag: tag.unwrap_or("other").to_owned(),
        path: path.to_owned(),
        text: word("summary").unwrap_or_default().to_owned(),
        grpc_method: word("x-grpc-method").map(str::to_owned),
        method,
    }
}

/// The description that a body has as JSON.
fn json_content(value: &Value) -> Option<(&String, &Value)> {
    value["content"].as_object()?.iter().find(|(media_type, _)| media_type.ends_with("json"))
}

fn names_of(fields: &[Field], names: &mut Vec<String>) {
    for field in fields {
        names.extend(field.kind.object.clone());
        names_of(&field.fields, names);
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// The last part of a name.
fn short(name: &str) -> &str {
    name.rsplit('.').find(|part| *part != "Input").unwrap_or(name)
}

/// Shapes that a value may have one of.
fn choices(schema: &Value) -> &[Value] {
    match (list(&schema["oneOf"]), list(&schema["anyOf"]), list(&schema["allOf"])) {
        ([], [], [only]) if schema["properties"].is_null() => std::slice::from_ref(only),
        ([], any, _) => any,
        (one, ..) => one,
    }
}

/// The first type that is not `null`.
fn type_of(schema: &Value) -> &str {
    let named = schema["type"]
        .as_str()
        .or_else(|| list(&schema["type"]).iter().filter_map(Value::as_str).find(|name| *name != "null"));
    let has_fields = schema["properties"].is_object() || schema["allOf"].is_array();
    named.unwrap_or(if has_fields { "object" } else { "" })
}

/// A value as users write it: texts without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn plural(kind: &str) -> String {
    match kind {
        "any value" => "any values".to_owned(),
        "one of several objects" => "objects".to_owned(),
        "time, RFC 3339" => "times, RFC 3339".to_owned(),
        "email address" => "email addresses".to_owned(),
        // The name of an object, or of a type with "or null".
        kind if kind.contains(' ')
            || kind.starts_with(|first: char| first.is_uppercase()) && kind != "URL" =>
        {
            kind.to_owned()
        }
        kind => format!("{kind}s"),
    }
}

/// "1 to 32 characters"
fn range(least: &Value, most: &Value, what: &str) -> Option<String> {
    let least = least.as_f64().filter(|least| what.is_empty() || *least > 0.0);
    // Types have limits of their own, which say nothing.
    let most = most.as_f64().filter(|most| *most < f64::from(u32::MAX));
    let text = match (least, most) {
        (Some(least), Some(most)) if least == most => format!("{least}"),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        // "at least 1 characters"
        (Some(1.0), None) if !what.is_empty() => return Some("not empty".to_owned()),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => return None,
    };
    Some(format!("{text} {what}").trim_end().to_owned())
}

/// What a schema itself names as a value.
fn own_example(schema: &Value) -> Option<Value> {
    let given = schema.get("example").or_else(|| list(&schema["examples"]).first()).or(schema.get("const"));
    let given = given.or(schema.get("default").filter(|default| !default.is_null() && **default != ""));
    let says_something = |value: &&Value| {
        value
            .as_str()
            .is_none_or(|text| !text.is_empty() && !text.ends_with("UNSPECIFIED") && text != "INVALID")
    };
    let values = list(&schema["enum"]);
    given.or_else(|| values.iter().find(says_something).or(values.first())).cloned()
}

fn example_text(schema: &Value) -> String {
    match (schema["format"].as_str(), schema["contentEncoding"].as_str()) {
        (Some("date-time"), _) => return "2030-01-01T00:00:00Z".to_owned(),
        (Some("date"), _) => return "2030-01-01".to_owned(),
        (Some("email"), _) => return "ada@example.com".to_owned(),
        (Some("uri" | "url"), _) => return "https://app.example.com/".to_owned(),
        (Some("uuid"), _) => return "00000000-0000-4000-8000-000000000000".to_owned(),
        (_, Some("base64")) => return "aGVsbG8=".to_owned(),
        _ => {}
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        return matching(pattern);
    }
    let least = usize::try_from(schema["minLength"].as_u64().unwrap_or_default()).unwrap_or_default();
    let most = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok());
    let repeated = least.min(MAX_TEXT).div_ceil(ANY_TEXT.len()).max(1);
    let text = ANY_TEXT.repeat(repeated);
    text.chars().take(most.unwrap_or(usize::MAX)).collect()
}

/// Longest text that is made for a limit.
const MAX_TEXT: usize = 1000;

/// A text for a pattern, of those that patterns of APIs usually mean; the pattern's own beginning otherwise.
fn matching(pattern: &str) -> String {
    let begin = pattern.strip_prefix('^').unwrap_or(pattern);
    let begin: String =
        begin.chars().take_while(|letter| letter.is_alphanumeric() || "_-:".contains(*letter)).collect();
    let id = format!("{begin}{}1893456000000000001", if begin.ends_with('_') { "" } else { "_" });
    let candidates = ["300s", "1893456000", "text", id.as_str()];
    let wanted = Regex::new(pattern).ok();
    let found =
        candidates.into_iter().find(|candidate| wanted.as_ref().is_some_and(|w| w.is_match(candidate)));
    found.map_or(begin, str::to_owned)
}

fn example_number(schema: &Value) -> Value {
    let least =
        schema["minimum"].as_i64().or(schema["exclusiveMinimum"].as_i64().map(|n| n.saturating_add(1)));
    let most =
        schema["maximum"].as_i64().or(schema["exclusiveMaximum"].as_i64().map(|n| n.saturating_sub(1)));
    let number = least.unwrap_or(1).max(1);
    most.map_or(number, |most| number.min(most)).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document(schemas: &Value, operation: &Value) -> Document {
        Document(json!({
            "paths": { "/things/{id}": { "post": operation } },
            "components": { "schemas": schemas },
        }))
    }

    fn with_body(schema: &Value, schemas: &Value) -> Operation {
        let content = json!({ "application/json": { "schema": schema } });
        let document =
            document(schemas, &json!({ "tags": ["things"], "requestBody": { "content": content } }));
        document.operations("things").remove(0)
    }

    #[test]
    fn fields_have_type_limits_and_description_and_those_that_are_required_come_first() {
        let schema = json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "count": { "type": ["integer", "null"], "minimum": 1, "maximum": 5, "default": 2 },
                "name": { "type": "string", "minLength": 1, "description": "What it is called." },
                "kinds": { "type": "array", "items": { "type": "string", "enum": ["a", "b"] } },
                "labels": { "type": "object", "additionalProperties": { "type": "string", "maxLength": 9 } },
            },
        });
        let body = with_body(&schema, &json!({})).body.unwrap();
        let shown: Vec<_> = body
            .fields
            .iter()
            .map(|field| {
                format!(
                    "{} {} {}: {}",
                    field.name,
                    field.kind.text,
                    field.is_required,
                    field.limits.join("; ")
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "name string true: not empty",
                "count integer or null false: 1 to 5; default 2",
                "kinds list of strings false: each one of a, b",
                "labels map to strings false: ",
            ]
        );
        assert_eq!(body.fields[0].about, "What it is called.");
    }

    #[test]
    fn references_are_followed_and_those_to_themselves_end() {
        let schemas = json!({
            "Node": {
                "type": "object",
                "description": "A node.",
                "required": ["next"],
                "properties": { "next": { "$ref": "#/components/schemas/Node" }, "id": { "type": "string" } },
            },
            "Loop": { "$ref": "#/components/schemas/Loop" },
        });
        let operation = with_body(&json!({ "$ref": "#/components/schemas/Node" }), &schemas);
        let body = operation.body.unwrap();
        assert_eq!((body.about.as_str(), body.fields.len(), body.fields[0].fields.len()), ("A node.", 2, 0));
        assert!(operation.example.body.is_some());
        for reference in ["#/components/schemas/Loop", "#/nowhere", "https://example.com/schema"] {
            let body = with_body(&json!({ "$ref": reference }), &schemas).body.unwrap();
            assert_eq!((body.kind.text.as_str(), body.fields.len()), ("any value", 0), "{reference}");
        }
    }

    #[test]
    fn shapes_to_choose_from_are_named_by_what_only_they_have() {
        let shape = |kind: &str, field: &str| json!({ "type": "object", "required": ["kind"], "properties": { "kind": { "enum": [kind] }, field: {} } });
        let schema = json!({ "oneOf": [{ "type": "null" }, { "oneOf": [shape("status", "a"), shape("reset", "b")] }] });
        let operation = with_body(&schema, &json!({}));
        let names: Vec<_> = operation.body.unwrap().fields.into_iter().map(|field| field.name).collect();
        assert_eq!(names, ["kind: status", "kind: reset"]);
        assert_eq!(operation.example.body.unwrap()["kind"], "status");
    }

    #[test]
    fn examples_are_the_documents_own_or_else_made_of_types_and_limits() {
        let make = |schema: Value| with_body(&schema, &json!({})).example.body.unwrap();
        assert_eq!(make(json!({ "type": "string", "examples": ["ada"] })), "ada");
        assert_eq!(make(json!({ "type": "string", "enum": ["UNSPECIFIED", "ACTIVE"] })), "ACTIVE");
        assert_eq!(make(json!({ "type": "string", "pattern": "^ses_[0-9]+$" })), "ses_1893456000000000001");
        assert_eq!(make(json!({ "type": "string", "pattern": "^-?[0-9]+$" })), "1893456000");
        assert_eq!(make(json!({ "type": "string", "minLength": 8 })), "stringstring");
        assert_eq!(make(json!({ "type": "string", "maxLength": 3 })), "str");
        assert_eq!(make(json!({ "type": "integer", "exclusiveMinimum": 4 })), 5);
        assert_eq!(make(json!({ "type": "array", "items": { "type": "boolean" } })), json!([true]));
    }

    #[test]
    fn responses_link_to_objects_that_the_page_describes_once() {
        let schemas = json!({
            "a.Thing": { "type": "object", "properties": { "part": { "$ref": "#/components/schemas/a.Part" } } },
            "a.Part": { "type": "object", "properties": { "id": { "type": "string" } } },
        });
        let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/a.Thing" } } });
        let responses = json!({ "200": { "description": "", "content": content }, "404": { "x-error-codes": ["NOT_FOUND"] } });
        let document = document(&schemas, &json!({ "tags": ["things"], "responses": responses }));
        let operations = document.operations("things");
        let [found, missing] = operations[0].responses.as_slice() else { panic!("two responses") };
        assert_eq!((found.kind.text.as_str(), found.kind.object.as_deref()), ("Thing", Some("a.Thing")));
        assert!(found.is_success() && !missing.is_success() && missing.error_codes == ["NOT_FOUND"]);
        let names: Vec<_> = document.objects(&operations).into_iter().map(|object| object.name).collect();
        assert_eq!(names, ["a.Part", "a.Thing"]);
    }

    #[test]
    fn parameters_fill_the_path_and_required_ones_the_query() {
        let parameters = json!([
            { "in": "path", "name": "id", "example": "a/b" },
            { "in": "query", "name": "q", "required": true, "schema": { "type": "string" } },
            { "in": "query", "name": "other", "schema": { "type": "string" } },
        ]);
        let document = document(&json!({}), &json!({ "tags": ["things"], "parameters": parameters }));
        assert_eq!(document.operations("things")[0].example.path, "/things/a%2Fb?q=string");
    }

    /// JSON in the words of descriptions, put together at random.
    fn odd_value() -> impl Strategy<Value = Value> {
        let word = prop::sample::select(vec![
            "object",
            "array",
            "string",
            "null",
            "#/components/schemas/A",
            "#/components/schemas/B",
            "path",
            "query",
            "^a",
            "(",
            "application/json",
            "A",
            "",
        ]);
        let leaf = prop_oneof![
            word.prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        let key = prop::sample::select(vec![
            "$ref",
            "type",
            "properties",
            "items",
            "oneOf",
            "allOf",
            "anyOf",
            "required",
            "enum",
            "const",
            "default",
            "example",
            "examples",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "minItems",
            "pattern",
            "schema",
            "content",
            "application/json",
            "parameters",
            "requestBody",
            "responses",
            "200",
            "in",
            "name",
            "tags",
            "A",
            "additionalProperties",
            "description",
            "security",
            "operationId",
            "exclusiveMaximum",
        ]);
        leaf.prop_recursive(6, 60, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..5).prop_map(|fields| {
                    fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect::<Map<_, _>>()
                        .into()
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_document_is_too_odd_to_be_read(
            a in odd_value(), b in odd_value(), body in odd_value(), operation in odd_value(), tags in odd_value(),
        ) {
            let content = json!({ "application/json": { "schema": body } });
            let own = json!({
                "tags": ["A"], "parameters": [{ "in": "query", "name": "q", "required": true, "schema": body }],
                "requestBody": { "content": content }, "responses": { "200": { "content": content } },
            });
            let document = Document(json!({
                "tags": tags,
                "paths": { "/a/{A}": { "get": operation, "post": own } },
                "components": { "schemas": { "A": a, "B": b } },
            }));
            for tag in document.tags() {
                let operations = document.operations(&tag.name);
                prop_assert!(!operations.is_empty());
                document.objects(&operations);
            }
            document.search("a b");
            Document(operation).tags();
        }

        #[test]
        fn bytes_that_are_no_document_have_no_operations(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Document::read(&bytes).tags().is_empty());
        }
    }
}
