//! From the .proto files to what `src/` includes: tonic's traits and messages of the emulated methods, their field rules,
//! the table of all methods, and the descriptor set that REST works with.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, Value};
use prost_types::FileDescriptorSet;

use super::{Failure, rules};

/// A codec that checks field rules between decoding and the handler.
const CODEC: &str = "crate::api::validation::CheckedCodec";

pub fn compile(files: &[&str]) -> Result<(), Failure> {
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(files)?;
    let pool = compiler.descriptor_pool();
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    fs::write(out.join("api.bin"), with_comments_alone(&pool, &compiler.encode_file_descriptor_set())?)?;
    fs::write(out.join("methods.rs"), methods(&pool, &fs::read_to_string("proto/methods.tsv")?)?)?;
    fs::write(out.join("rules.rs"), rules::of_requests(&pool, emulated(&pool).map(|m| m.input()))?)?;
    let set = implemented(compiler.file_descriptor_set(), &pool);
    // The clients that tests need are the official SDKs.
    let tonic = tonic_prost_build::configure().build_client(false).build_transport(false);
    tonic.codec_path(CODEC).compile_fds(set)?;
    Ok(())
}

fn emulated(pool: &DescriptorPool) -> impl Iterator<Item = MethodDescriptor> {
    let all = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    all.filter(|method| flag(method, "vestibule.is_emulated"))
}

/// The descriptor set without source positions: of those only comments are shown, and they are few.
fn with_comments_alone(pool: &DescriptorPool, set: &[u8]) -> Result<Vec<u8>, Failure> {
    let descriptor =
        pool.get_message_by_name("google.protobuf.FileDescriptorSet").ok_or("no descriptor.proto")?;
    let mut set = DynamicMessage::decode(descriptor, set)?;
    for file in list_mut(&mut set, "file") {
        let Value::Message(file) = file else { continue };
        if let Some(Value::Message(info)) = file.get_field_by_name_mut("source_code_info") {
            list_mut(info, "location").retain(|location| {
                location.as_message().is_some_and(|l| l.has_field_by_name("leading_comments"))
            });
            for location in list_mut(info, "location") {
                if let Value::Message(location) = location {
                    location.clear_field_by_name("span");
                }
            }
        }
    }
    Ok(prost_reflect::prost::Message::encode_to_vec(&set))
}

fn list_mut<'m>(message: &'m mut DynamicMessage, name: &str) -> &'m mut Vec<Value> {
    match message.get_field_by_name_mut(name) {
        Some(Value::List(list)) => list,
        _ => unreachable!("{name} is a repeated field of descriptor.proto"),
    }
}

/// The services with their emulated methods alone, and the messages that these need. Nobody implements the others, so
/// nothing is compiled for them.
fn implemented(mut set: FileDescriptorSet, pool: &DescriptorPool) -> FileDescriptorSet {
    let mut needed = BTreeSet::new();
    for method in emulated(pool) {
        note_types(&method.input(), &mut needed);
        note_types(&method.output(), &mut needed);
    }
    for file in &mut set.file {
        let package = file.package().to_owned();
        if !package.starts_with("scalekit.") || package == "scalekit.v1.errdetails" {
            continue;
        }
        let full = |name: &str| format!("{package}.{name}");
        for service in &mut file.service {
            let name = full(service.name());
            service.method.retain(|method| {
                emulated(pool).any(|m| m.parent_service().full_name() == name && m.name() == method.name())
            });
        }
        file.service.retain(|service| !service.method.is_empty());
        file.message_type.retain(|message| needed.contains(&full(message.name())));
        file.enum_type.retain(|kind| needed.contains(&full(kind.name())));
        // Its positions are those of the whole file.
        file.source_code_info = None;
    }
    set
}

/// Notes a message's outermost type, and those that anything inside of it refers to.
fn note_types(message: &MessageDescriptor, needed: &mut BTreeSet<String>) {
    let mut outermost = message.clone();
    while let Some(parent) = outermost.parent_message() {
        outermost = parent;
    }
    if needed.insert(outermost.full_name().to_owned()) {
        let mut inside = vec![outermost];
        while let Some(message) = inside.pop() {
            inside.extend(message.child_messages());
            for field in message.fields() {
                match field.kind() {
                    prost_reflect::Kind::Message(inner) => note_types(&inner, needed),
                    prost_reflect::Kind::Enum(kind) => match kind.parent_message() {
                        Some(parent) => note_types(&parent, needed),
                        None => _ = needed.insert(kind.full_name().to_owned()),
                    },
                    _ => {}
                }
            }
        }
    }
}

/// The text of an array with all methods: of the services that have a .proto file, and of `rest`, the table of the others.
fn methods(pool: &DescriptorPool, rest: &str) -> Result<String, Failure> {
    let mut all = vec![];
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let bindings = bindings(&method)?;
        let mut row = String::new();
        write!(
            row,
            "Method {{ service: {:?}, name: {:?}, input: {:?}, output: {:?}, bindings: &{:?}, success_status: {}, \
             is_public: {}, is_emulated: {} }}",
            method.parent_service().full_name(),
            method.name(),
            method.input().full_name(),
            method.output().full_name(),
            bindings.iter().map(|(verb, path, body)| BindingText { verb, path, body }).collect::<Vec<_>>(),
            number(&method, "vestibule.success_status").unwrap_or(200),
            flag(&method, "vestibule.is_public"),
            flag(&method, "vestibule.is_emulated"),
        )?;
        all.push((method.parent_service().full_name().to_owned(), row));
    }
    for line in rest.lines().filter(|line| !line.starts_with('#')) {
        let mut cells = line.split('\t');
        let (Some(service), Some(name)) = (cells.next(), cells.next()) else { continue };
        let bindings: Vec<_> = cells
            .filter_map(|cell| cell.split_once(' '))
            .map(|(verb, path)| BindingText { verb, path, body: "" })
            .collect();
        let row = format!(
            "Method {{ service: {service:?}, name: {name:?}, input: \"\", output: \"\", bindings: &{bindings:?}, \
             success_status: 200, is_public: false, is_emulated: false }}"
        );
        all.push((service.to_owned(), row));
    }
    all.sort_by(|one, two| one.0.cmp(&two.0));
    let rows: Vec<String> = all.into_iter().map(|(_, row)| row).collect();
    Ok(format!("&[\n{},\n]\n", rows.join(",\n")))
}

/// Printed as the Rust value `Binding`.
struct BindingText<'t> {
    verb: &'t str,
    path: &'t str,
    body: &'t str,
}

impl std::fmt::Debug for BindingText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, path, body } = self;
        write!(f, "Binding {{ verb: {verb:?}, path: {path:?}, body: {body:?} }}")
    }
}

/// Verb, path and body of each `google.api.http` binding.
fn bindings(method: &MethodDescriptor) -> Result<Vec<(String, String, String)>, Failure> {
    let Some(rule) = option(method, "google.api.http") else { return Ok(vec![]) };
    let rule = rule.as_message().ok_or("google.api.http is no message")?;
    let more = rule.get_field_by_name("additional_bindings").ok_or("no additional_bindings")?;
    let more = more.as_list().unwrap_or_default().iter().filter_map(Value::as_message);
    let one = |rule: &DynamicMessage| {
        let text = |name: &str| rule.get_field_by_name(name).and_then(|v| v.as_str().map(str::to_owned));
        let verb =
            ["get", "put", "post", "delete", "patch"].into_iter().find(|v| rule.has_field_by_name(v))?;
        Some((verb.to_uppercase(), text(verb)?, text("body")?))
    };
    [rule].into_iter().chain(more).map(|rule| one(rule).ok_or_else(|| format!("{method:?}").into())).collect()
}

fn option(method: &MethodDescriptor, name: &str) -> Option<Value> {
    let extension = method.parent_pool().get_extension_by_name(name)?;
    let options = method.options();
    options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
}

fn flag(method: &MethodDescriptor, name: &str) -> bool {
    option(method, name).and_then(|value| value.as_bool()).unwrap_or_default()
}

fn number(method: &MethodDescriptor, name: &str) -> Option<u32> {
    option(method, name)?.as_u32()
}
