//! What Scalekit's API consists of: every service, method and path. Used to say by name what is not emulated.

use std::sync::LazyLock;

static METHODS: LazyLock<Vec<Method>> = LazyLock::new(|| read(include_str!("../../proto/methods.tsv")));

/// A method of Scalekit's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// `scalekit.v1.users.UserService`
    pub service: &'static str,
    /// `ListUsers`
    pub name: &'static str,
    bindings: Vec<Binding>,
}

/// A verb and a path template such as `/api/v1/users/{id}` or `/api/v1/connections/{connection_id}:enable`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Binding {
    verb: &'static str,
    path: &'static str,
}

impl Method {
    /// As gRPC puts it into a path, without the leading slash.
    pub fn path(&self) -> String {
        format!("{}/{}", self.service, self.name)
    }
}

fn read(table: &'static str) -> Vec<Method> {
    let row = |line: &'static str| {
        let mut cells = line.split('\t');
        let (service, name) = (cells.next()?, cells.next()?);
        let bindings = cells.filter_map(|c| c.split_once(' ')).map(|(verb, path)| Binding { verb, path });
        Some(Method { service, name, bindings: bindings.collect() })
    };
    table.lines().filter(|l| !l.starts_with('#')).filter_map(row).collect()
}

/// All of them.
pub fn methods() -> &'static [Method] {
    &METHODS
}

/// The method behind a gRPC path, `/service/method`.
pub fn by_grpc_path(path: &str) -> Option<&'static Method> {
    let (service, name) = path.trim_start_matches('/').split_once('/')?;
    METHODS.iter().find(|m| m.service == service && m.name == name)
}

/// The method behind a REST call.
pub fn by_rest(verb: &str, path: &str) -> Option<&'static Method> {
    let serves = |m: &&Method| m.bindings.iter().any(|b| b.verb == verb && fits(b.path, path));
    // A path spelled out outranks one with a placeholder: `/users/me` before `/users/{id}`.
    let exact = METHODS.iter().find(|m| m.bindings.iter().any(|b| b.verb == verb && b.path == path));
    exact.or_else(|| METHODS.iter().find(serves))
}

/// Does `path` have the form of `template`? A placeholder takes one segment, up to what follows it there.
fn fits(template: &str, path: &str) -> bool {
    let mut wanted = template.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if segment_fits(wanted, given) => {}
            _ => return false,
        }
    }
}

fn segment_fits(wanted: &str, given: &str) -> bool {
    match (wanted.find('{'), wanted.find('}')) {
        (Some(open), Some(close)) => {
            let (before, after) = (&wanted[..open], &wanted[close + 1..]);
            let inner = given.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            inner.is_some_and(|value| !value.is_empty() && (!after.is_empty() || !value.contains(':')))
        }
        _ => wanted == given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_methods_are_found_by_both_their_names() {
        assert_eq!(methods().len(), 444);
        for method in methods() {
            assert_eq!(by_grpc_path(&format!("/{}", method.path())), Some(method));
            for binding in &method.bindings {
                let path = binding.path.replace(['{', '}'], "");
                let found = by_rest(binding.verb, &path).map(Method::path);
                assert!(found.is_some(), "{} {path}", binding.verb);
            }
        }
    }

    #[test]
    fn paths_are_told_apart_by_verb_suffix_and_spelling() {
        let name = |verb, path| by_rest(verb, path).map(|m| m.name);
        assert_eq!(name("GET", "/api/v1/users/usr_1"), Some("GetUser"));
        assert_eq!(name("DELETE", "/api/v1/users/usr_1"), Some("DeleteUser"));
        assert_eq!(name("GET", "/api/v1/users/me"), Some("GetCurrentUser"));
        assert_eq!(name("GET", "/api/v1/users:search"), Some("SearchUsers"));
        assert_eq!(name("PATCH", "/api/v1/connections/conn_1:enable"), Some("EnableEnvironmentConnection"));
        assert_eq!(name("PATCH", "/api/v1/connections/conn_1"), Some("UpdateEnvironmentConnection"));
        assert_eq!(name("GET", "/api/v1/users/"), None);
        assert_eq!(name("GET", "/api/v1/nothing"), None);
        assert_eq!(by_grpc_path("/scalekit.v1.users.UserService/Dance"), None);
    }
}
