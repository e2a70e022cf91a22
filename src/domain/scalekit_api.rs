//! What Scalekit's API consists of: every service, method and REST binding. The .proto files describe the services that are
//! emulated in part; `proto/methods.tsv` names the methods of the others, which are answered as "not emulated".

use std::cmp::Reverse;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;

/// All methods, sorted by service.
static METHODS: &[Method] = include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// Their path templates, split once.
static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let all = METHODS.iter().flat_map(|method| method.bindings.iter().map(move |binding| (method, binding)));
    all.map(|(method, binding)| Template { method, binding, segments: split(binding.path) }).collect()
});

/// A method of Scalekit's API.
#[derive(Debug, PartialEq, Eq)]
pub struct Method {
    /// `scalekit.v1.users.UserService`
    pub service: &'static str,
    /// `ListUsers`
    pub name: &'static str,
    /// Full name of the request's message; empty where no .proto file describes the method.
    pub input: &'static str,
    /// Full name of the response's message.
    pub output: &'static str,
    /// Ways to call it by REST.
    pub bindings: &'static [Binding],
    /// HTTP status of a REST call that went well.
    pub success_status: u16,
    /// It needs no token.
    pub is_public: bool,
    pub is_emulated: bool,
}

/// A way to call a method by REST.
#[derive(Debug, PartialEq, Eq)]
pub struct Binding {
    /// `GET`
    pub verb: &'static str,
    /// `/api/v1/users/{id}` or `/api/v1/connections/{connection_id}:enable`
    pub path: &'static str,
    /// The field that the body is; `*` for the whole request, empty for no body.
    pub body: &'static str,
}

impl Method {
    /// As gRPC puts it into a path, without the leading slash.
    pub fn path(&self) -> String {
        format!("{}/{}", self.service, self.name)
    }
}

struct Template {
    method: &'static Method,
    binding: &'static Binding,
    segments: Vec<Segment>,
}

/// A segment of a path template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// `**`: everything from here on.
    Rest,
    /// `{name}`, with what follows it in its segment.
    Placeholder {
        suffix: &'static str,
        name: &'static str,
    },
    Literal(&'static str),
}

/// What a REST path stands for.
#[derive(Debug, PartialEq, Eq)]
pub enum RestRoute {
    Found {
        method: &'static Method,
        binding: &'static Binding,
        /// Fields that stand in the path. `None` is a value that is no UTF-8.
        fields: Vec<(&'static str, Option<String>)>,
    },
    /// The path is right, the verb is none of these.
    OtherVerbs(Vec<&'static str>),
    Unknown,
}

/// All of them.
pub fn methods() -> &'static [Method] {
    METHODS
}

/// The method behind a gRPC path, `/service/method`.
pub fn by_grpc_path(path: &str) -> Option<&'static Method> {
    let (service, name) = path.trim_start_matches('/').split_once('/')?;
    METHODS.iter().find(|m| m.service == service && m.name == name)
}

/// What a REST call asks for, by its path as it was sent. Of several templates that fit, the one that spells out more
/// counts: `/users/me` before `/users/{id}`.
pub fn by_rest(verb: &str, path: &str) -> RestRoute {
    let given: Vec<&str> = path.split('/').collect();
    let verb = if verb == "HEAD" { "GET" } else { verb };
    let mut fitting: Vec<&Template> = TEMPLATES.iter().filter(|t| fits(&t.segments, &given)).collect();
    fitting.sort_by_key(|template| Reverse(rank(&template.segments)));
    let Some(template) = fitting.iter().find(|template| template.binding.verb == verb) else {
        let mut verbs: Vec<_> = fitting.iter().map(|template| template.binding.verb).collect();
        verbs.sort_unstable();
        verbs.dedup();
        return if verbs.is_empty() { RestRoute::Unknown } else { RestRoute::OtherVerbs(verbs) };
    };
    let fields = template.segments.iter().zip(&given).filter_map(|(segment, given)| match segment {
        Segment::Placeholder { suffix, name } => {
            let value = percent_decode_str(given.strip_suffix(suffix).unwrap_or(given)).decode_utf8();
            Some((*name, value.ok().map(Into::into)))
        }
        _ => None,
    });
    RestRoute::Found { method: template.method, binding: template.binding, fields: fields.collect() }
}

fn split(template: &'static str) -> Vec<Segment> {
    let segment = |text: &'static str| match (text.strip_prefix('{'), text.find('}')) {
        (Some(_), Some(end)) => Segment::Placeholder { name: &text[1..end], suffix: &text[end + 1..] },
        _ if text == "**" => Segment::Rest,
        _ => Segment::Literal(text),
    };
    template.split('/').map(segment).collect()
}

fn fits(template: &[Segment], given: &[&str]) -> bool {
    let has_rest = template.last() == Some(&Segment::Rest);
    if template.len() != given.len() && !(has_rest && given.len() >= template.len()) {
        return false;
    }
    template.iter().zip(given).all(|(segment, given)| match segment {
        Segment::Literal(text) => text == given,
        // A placeholder stands for something.
        Segment::Placeholder { suffix, .. } => {
            given.strip_suffix(suffix).is_some_and(|value| !value.is_empty())
        }
        Segment::Rest => true,
    })
}

/// How much a template spells out, from the left.
fn rank(template: &[Segment]) -> Vec<usize> {
    let rank = |segment: &Segment| match segment {
        Segment::Rest => 0,
        Segment::Placeholder { suffix, .. } => 1 + suffix.len(),
        Segment::Literal(_) => usize::MAX,
    };
    template.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(verb: &str, path: &str) -> Option<(&'static str, Vec<String>)> {
        match by_rest(verb, path) {
            RestRoute::Found { method, fields, .. } => Some((
                method.name,
                fields.into_iter().map(|(name, value)| format!("{name}={}", value.unwrap())).collect(),
            )),
            _ => None,
        }
    }

    #[test]
    fn all_methods_are_found_by_both_their_names() {
        // 444 of the newest SDK, and one that older ones call by another name.
        assert_eq!(methods().len(), 445);
        for method in methods() {
            assert_eq!(by_grpc_path(&format!("/{}", method.path())), Some(method));
            for binding in method.bindings {
                let path = binding.path.replace(['{', '}'], "");
                assert!(named(binding.verb, &path).is_some(), "{} {path}", binding.verb);
            }
        }
    }

    #[test]
    fn paths_are_told_apart_by_verb_suffix_and_spelling() {
        let name = |verb, path| named(verb, path).map(|(name, _)| name);
        assert_eq!(name("GET", "/api/v1/users/usr_1"), Some("GetUser"));
        assert_eq!(name("HEAD", "/api/v1/users/usr_1"), Some("GetUser"));
        assert_eq!(name("DELETE", "/api/v1/users/usr_1"), Some("DeleteUser"));
        assert_eq!(name("GET", "/api/v1/users/me"), Some("GetCurrentUser"));
        assert_eq!(name("GET", "/api/v1/users:search"), Some("SearchUsers"));
        assert_eq!(name("PATCH", "/api/v1/connections/conn_1:enable"), Some("EnableEnvironmentConnection"));
        assert_eq!(name("PATCH", "/api/v1/connections/conn_1"), Some("UpdateEnvironmentConnection"));
        assert_eq!(name("GET", "/api/v1/users/"), None);
        assert_eq!(name("GET", "/api/v1/nothing"), None);
        assert_eq!(by_rest("GET", "/api/v1/nothing"), RestRoute::Unknown);
        assert_eq!(by_rest("PUT", "/api/v1/authmethods"), RestRoute::OtherVerbs(vec!["GET"]));
        assert_eq!(by_grpc_path("/scalekit.v1.users.UserService/Dance"), None);
    }

    #[test]
    fn values_may_have_colons_raw_and_escaped() {
        for colon in [":", "%3A", "%3a"] {
            let found = named("GET", &format!("/api/v1/permissions/read{colon}documents"));
            assert_eq!(found, Some(("GetPermission", vec!["permission_name=read:documents".to_owned()])));
            let found = named("GET", &format!("/api/v1/users:external/a{colon}b"));
            assert_eq!(found, Some(("GetUser", vec!["external_id=a:b".to_owned()])));
        }
        let found = named("PATCH", "/api/v1/connections/a:b:enable");
        assert_eq!(found, Some(("EnableEnvironmentConnection", vec!["connection_id=a:b".to_owned()])));
        let RestRoute::Found { fields, .. } = by_rest("GET", "/api/v1/users/%ff") else {
            panic!("not found")
        };
        assert_eq!(fields, [("id", None)]);
    }
}
