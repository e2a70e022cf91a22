//! What both descriptions (OpenAPI 3.1) have in common.

use std::collections::BTreeMap;

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AdditionalProperties, AllOf, Object};
use utoipa::openapi::{Components, Content, HttpMethod, OpenApi, Ref, RefOr, Response, Schema};

/// All operations, with their methods.
pub fn operations(document: &mut OpenApi) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    document.paths.paths.values_mut().flat_map(|item| {
        let all = [
            (HttpMethod::Get, item.get.as_mut()),
            (HttpMethod::Put, item.put.as_mut()),
            (HttpMethod::Post, item.post.as_mut()),
            (HttpMethod::Patch, item.patch.as_mut()),
            (HttpMethod::Delete, item.delete.as_mut()),
        ];
        all.into_iter().filter_map(|(method, operation)| Some((method, operation?)))
    })
}

/// Names an operation by its tag and its handler, since two handlers may have one name and two operations may not.
pub fn set_operation_id(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next().map(|tag| tag.replace('-', "_"));
    operation.operation_id =
        tag.zip(operation.operation_id.take()).map(|(tag, name)| format!("{tag}_{name}"));
}

/// Adds an answer, or one more type of its body, to what the operation names itself.
pub fn add_response(
    operation: &mut Operation,
    code: &str,
    about: &str,
    content_type: &str,
    body: &RefOr<Schema>,
) {
    let found = operation.responses.responses.entry(code.to_owned());
    if let RefOr::T(response) = found.or_insert_with(|| RefOr::T(Response::new(about))) {
        let content = response.content.entry(content_type.to_owned());
        content.or_insert_with(|| Content::new(Some(body.clone())));
    }
}

/// Names the content type of all answers whose body is this schema.
pub fn set_content_type(operation: &mut Operation, schema: &str, content_type: &str) {
    let wanted = Ref::from_schema_name(schema).ref_location;
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        let found = response.content.get("application/json").is_some_and(
            |content| matches!(&content.schema, Some(RefOr::Ref(found)) if found.ref_location == wanted),
        );
        if !found {
            continue;
        }
        if let Some(content) = response.content.shift_remove("application/json") {
            response.content.insert(content_type.to_owned(), content);
        }
    }
}

/// Describes what flattens an object without other properties as one object with the properties of both: as `allOf`, each
/// would forbid those of the other.
pub fn join_flattened(components: &mut Components) {
    let closed: BTreeMap<String, Object> = components
        .schemas
        .iter()
        .filter_map(|(name, schema)| match schema {
            RefOr::T(Schema::Object(object)) if is_closed(object) => {
                Some((Ref::from_schema_name(name).ref_location, object.clone()))
            }
            _ => None,
        })
        .collect();
    for schema in components.schemas.values_mut() {
        if let RefOr::T(Schema::AllOf(parts)) = schema
            && let Some(joined) = join(parts, &closed)
        {
            *schema = RefOr::T(Schema::Object(joined));
        }
    }
}

fn is_closed(object: &Object) -> bool {
    matches!(object.additional_properties.as_deref(), Some(AdditionalProperties::FreeForm(false)))
}

/// `None`: it flattens nothing closed, or a part that is neither a closed object nor one of its own.
fn join(parts: &AllOf, closed: &BTreeMap<String, Object>) -> Option<Object> {
    if !parts.items.iter().any(|part| matches!(part, RefOr::Ref(_))) {
        return None;
    }
    let mut joined = Object::new();
    joined.description.clone_from(&parts.description);
    for part in &parts.items {
        let object = match part {
            RefOr::Ref(part) => closed.get(&part.ref_location)?,
            RefOr::T(Schema::Object(object)) => object,
            RefOr::T(_) => return None,
        };
        joined.properties.extend(object.properties.clone());
        joined.required.extend(object.required.clone());
    }
    joined.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    Some(joined)
}
