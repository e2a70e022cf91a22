//! Field rules (`buf.validate`) of requests as Rust: `impl Check` for each message. What a rule means stands in
//! `validation.rs`; here its numbers are put beside the field that it is about.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use heck::{ToSnakeCase as _, ToUpperCamelCase as _};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::Failure;

/// What is written for all messages that these requests consist of.
pub fn of_requests(
    pool: &prost_reflect::DescriptorPool,
    requests: impl Iterator<Item = MessageDescriptor>,
) -> Result<String, Failure> {
    let rules = pool.get_extension_by_name("buf.validate.field").ok_or("no buf.validate.field")?;
    let (mut out, mut seen, mut open) = (String::new(), BTreeSet::new(), requests.collect::<Vec<_>>());
    while let Some(message) = open.pop() {
        if !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        let mut body = String::new();
        for field in message.fields() {
            let options = field.options();
            let rules = options.has_extension(&rules).then(|| options.get_extension(&rules).into_owned());
            let rules = rules.as_ref().and_then(Value::as_message);
            of_field(&mut body, &message, &field, rules)?;
            open.extend(own_message(&field));
        }
        let checks = if body.is_empty() { "_" } else { "checks" };
        writeln!(
            out,
            "#[allow(deprecated, reason = \"clients send old fields too\")]\nimpl Check for {} {{\n    \
             fn check(&self, {checks}: &mut Checks) {{\n{body}    }}\n}}\n",
            type_path(&message)
        )?;
    }
    Ok(out)
}

fn of_field(
    out: &mut String,
    message: &MessageDescriptor,
    field: &FieldDescriptor,
    rules: Option<&DynamicMessage>,
) -> Result<(), Failure> {
    let (name, is_required) = (field.name(), rules.is_some_and(|rules| flag(rules, "required")));
    let access = access(message, field);
    if field.is_map() {
        let Some(rules) = rules.and_then(|rules| part(rules, "map")) else { return Ok(()) };
        let of = |side: &str| part(&rules, side).map_or("Text::ANY".to_owned(), |rules| text(&rules, false));
        let (keys, values, bounds) = (of("keys"), of("values"), bounds(&rules, "min_pairs", "max_pairs"));
        writeln!(out, "        checks.map({name:?}, {access}, {bounds}, &{keys}, &{values});")?;
    } else if field.is_list() {
        if let Some(rules) = rules {
            let list = part(rules, "repeated");
            let (min, max) =
                list.as_ref().map_or((None, None), |r| (bound(r, "min_items"), bound(r, "max_items")));
            let min = if is_required { min.max(Some(1)) } else { min };
            let is_unique = list.as_ref().is_some_and(|rules| flag(rules, "unique"));
            writeln!(
                out,
                "        checks.items({name:?}, {}.len(), {}, {});",
                access.trim_start_matches('&'),
                or_0(min),
                or_max(max)
            )?;
            if is_unique {
                writeln!(out, "        checks.unique({name:?}, {access});")?;
            }
            if let Some(rules) = list.and_then(|rules| part(&rules, "items")) {
                let rules = text(&rules, false);
                writeln!(out, "        checks.texts({name:?}, {access}, &{rules});")?;
            }
        }
        if own_message(field).is_some() {
            writeln!(out, "        checks.messages({name:?}, {access});")?;
        }
    } else if own_message(field).is_some() {
        of_presence(out, name, is_required, &access, |value| format!("checks.message({name:?}, {value});"))?;
    } else if let Some(check) = scalar(field, rules, is_required) {
        if has_presence(field) {
            of_presence(out, name, is_required, &access, |value| check(value))?;
        } else {
            writeln!(out, "        {}", check(&format!("&{}", access.trim_start_matches('&'))))?;
        }
    } else if is_required && has_presence(field) {
        writeln!(out, "        checks.presence({name:?}, {}.is_some());", access.trim_start_matches('&'))?;
    }
    Ok(())
}

/// What an absent field does, and what is checked in one that is there.
fn of_presence(
    out: &mut String,
    name: &str,
    is_required: bool,
    access: &str,
    check: impl Fn(&str) -> String,
) -> Result<(), Failure> {
    // One arm of a oneof says with a pattern of its own that it is there.
    if let Some((pattern, value)) = access.split_once(" = ") {
        writeln!(out, "        if let {pattern} = {value} {{\n            {}\n        }}", check("value"))?;
        return Ok(());
    }
    writeln!(out, "        if let Some(value) = {access} {{\n            {}\n        }}", check("value"))?;
    if is_required {
        writeln!(out, "        checks.presence({name:?}, {}.is_some());", access.trim_start_matches('&'))?;
    }
    Ok(())
}

/// Writes the check of one value, given the name of a reference to it.
type Check<'f> = Box<dyn Fn(&str) -> String + 'f>;

/// The check of one value.
fn scalar<'f>(
    field: &'f FieldDescriptor,
    rules: Option<&DynamicMessage>,
    is_required: bool,
) -> Option<Check<'f>> {
    let (name, rules) = (field.name(), rules?);
    let is_required = is_required && !has_presence(field);
    let kind = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(kind) => {
            let of_enum = part(rules, "enum");
            let is_closed = of_enum.as_ref().is_some_and(|rules| flag(rules, "defined_only"));
            let known = if is_closed { kind.values().map(|v| v.number()).collect() } else { vec![] };
            let mut refused: Vec<i32> =
                of_enum.iter().flat_map(|rules| list(rules, "not_in")).filter_map(|v| v.as_i32()).collect();
            if is_required {
                refused.push(0);
            }
            return Some(Box::new(move |value| {
                // A reference to a field, or the name of one.
                let number = value.strip_prefix('&').map_or_else(|| format!("*{value}"), str::to_owned);
                format!("checks.choice({name:?}, {number}, &{known:?}, &{refused:?});")
            }));
        }
        kind => format!("{kind:?}"),
    };
    match kind.as_str() {
        "string" | "google.protobuf.StringValue" => {
            let rules = text(rules, is_required);
            Some(Box::new(move |value| format!("checks.text({name:?}, {value}, &{rules});")))
        }
        "int32" | "int64" | "uint32" | "uint64" => {
            let rules = part(rules, &kind)?;
            let (least, most) = (number(&rules, "gte"), number(&rules, "lte"));
            let least = least.or_else(|| Some(number(&rules, "gt")? + 1));
            let most = most.or_else(|| Some(number(&rules, "lt")? - 1));
            Some(Box::new(move |value| {
                let number = value.strip_prefix('&').map_or_else(|| format!("*{value}"), str::to_owned);
                format!("checks.number({name:?}, i128::from({number}), {least:?}, {most:?});")
            }))
        }
        "google.protobuf.Duration" => {
            let rules = part(rules, "duration")?;
            let seconds = |name: &str| part(&rules, name).and_then(|d| number(&d, "seconds"));
            let (least, most) = (seconds("gte"), seconds("lte"));
            Some(Box::new(move |value| {
                format!("checks.number({name:?}, i128::from({value}.seconds), {least:?}, {most:?});")
            }))
        }
        _ => None,
    }
}

/// Rules of a text as the Rust value `Text`.
fn text(rules: &DynamicMessage, is_required: bool) -> String {
    let mut set = vec![];
    if is_required {
        set.push("is_required: true".to_owned());
    }
    if let Some(rules) = part(rules, "string") {
        for (name, bound) in [("min_len", bound(&rules, "min_len")), ("max_len", bound(&rules, "max_len"))] {
            set.extend(bound.map(|bound| format!("{name}: {bound}")));
        }
        for name in ["prefix", "pattern"] {
            set.extend(word(&rules, name).map(|word| format!("{name}: Some({word:?})")));
        }
        let one_of: Vec<String> = list(&rules, "in").filter_map(|v| v.as_str().map(str::to_owned)).collect();
        if !one_of.is_empty() {
            set.push(format!("one_of: &{one_of:?}"));
        }
        set.extend(["email", "uri"].into_iter().filter(|n| flag(&rules, n)).map(|n| format!("is_{n}: true")));
    }
    for rule in list(rules, "cel") {
        let expression = rule.as_message().and_then(|rule| word(rule, "expression")).unwrap_or_default();
        let pattern = expression.strip_prefix("this.matches('").and_then(|rest| rest.strip_suffix("')"));
        // No other form occurs in a text of an emulated method.
        set.push(format!("pattern: Some({:?})", pattern.unwrap_or_default()));
    }
    if set.is_empty() {
        "Text::ANY".to_owned()
    } else {
        format!("Text {{ {}, ..Text::ANY }}", set.join(", "))
    }
}

fn bounds(rules: &DynamicMessage, min: &str, max: &str) -> String {
    format!("{}, {}", or_0(bound(rules, min)), or_max(bound(rules, max)))
}

fn or_0(bound: Option<u64>) -> String {
    bound.unwrap_or_default().to_string()
}

fn or_max(bound: Option<u64>) -> String {
    bound.map_or("usize::MAX".to_owned(), |bound| bound.to_string())
}

/// How a method of the message reads the field: a reference, or the pattern of a oneof's arm and what it is held against.
fn access(message: &MessageDescriptor, field: &FieldDescriptor) -> String {
    match field.containing_oneof().filter(|_| !is_optional(field)) {
        Some(oneof) => {
            let arm = format!("{}::{}", module_of(message), oneof.name().to_upper_camel_case());
            let variant = field.name().to_upper_camel_case();
            format!("Some({arm}::{variant}(value)) = &self.{}", identifier(oneof.name()))
        }
        None => format!("&self.{}", identifier(field.name())),
    }
}

/// `optional` is written as a oneof of its own.
fn is_optional(field: &FieldDescriptor) -> bool {
    field.field_descriptor_proto().proto3_optional()
}

fn has_presence(field: &FieldDescriptor) -> bool {
    field.supports_presence()
}

/// The message that a field holds, where it is one of Scalekit's.
fn own_message(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) if message.full_name().starts_with("scalekit.") && !field.is_map() => {
            Some(message)
        }
        _ => None,
    }
}

fn type_path(message: &MessageDescriptor) -> String {
    let parent = match message.parent_message() {
        Some(parent) => module_of(&parent),
        None => format!("pb::{}", message.package_name().replace('.', "::")),
    };
    format!("{parent}::{}", message.name().to_upper_camel_case())
}

/// The module where a message's inner types are.
fn module_of(message: &MessageDescriptor) -> String {
    let path = type_path(message);
    let (parent, _) = path.rsplit_once("::").unwrap_or_default();
    format!("{parent}::{}", message.name().to_snake_case())
}

fn identifier(name: &str) -> String {
    let name = name.to_snake_case();
    let is_keyword =
        ["as", "enum", "in", "match", "mod", "ref", "type", "use", "where"].contains(&name.as_str());
    if is_keyword { format!("r#{name}") } else { name }
}

fn part(message: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let is_there = message.has_field_by_name(name);
    is_there.then(|| message.get_field_by_name(name)?.as_message().cloned()).flatten()
}

fn flag(message: &DynamicMessage, name: &str) -> bool {
    message.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or_default()
}

fn bound(message: &DynamicMessage, name: &str) -> Option<u64> {
    message.has_field_by_name(name).then(|| message.get_field_by_name(name)?.as_u64()).flatten()
}

fn number(message: &DynamicMessage, name: &str) -> Option<i128> {
    if !message.has_field_by_name(name) {
        return None;
    }
    Some(match *message.get_field_by_name(name)? {
        Value::I32(n) => n.into(),
        Value::I64(n) => n.into(),
        Value::U32(n) => n.into(),
        Value::U64(n) => n.into(),
        _ => return None,
    })
}

fn word(message: &DynamicMessage, name: &str) -> Option<String> {
    message
        .has_field_by_name(name)
        .then(|| message.get_field_by_name(name)?.as_str().map(str::to_owned))
        .flatten()
}

fn list(message: &DynamicMessage, name: &str) -> impl Iterator<Item = Value> + use<> {
    let values = message.get_field_by_name(name).and_then(|v| v.as_list().map(<[Value]>::to_vec));
    values.unwrap_or_default().into_iter()
}
