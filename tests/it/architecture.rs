//! The layers: imports point one way. What a file imports is read from its syntax tree, so that no spelling hides it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use syn::visit::{self, Visit};

/// Every module of the crate, from the top downwards. A module may import what stands below its own line, and of its own
/// line what [`BESIDE`] names.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli", "testing"],
    &["server"],
    &["oidc", "pages", "api", "emulator", "dashboard"],
    &["http"],
    &["service"],
    &["runtime"],
    &["config", "storage", "mail", "crypto", "telemetry"],
    &["locales"],
    &["domain"],
];

/// Imports within one line of [`LAYERS`].
const BESIDE: &[(&str, &str)] = &[
    // The dashboard's page about the control API lists its calls.
    ("dashboard", "emulator"),
    // Try it enters codes, and leads to the page that follows.
    ("dashboard", "pages"),
    // Settings are of these kinds.
    ("config", "crypto"),
    ("config", "mail"),
    ("telemetry", "config"),
];

/// What the edges go around `service` for: nothing.
const EDGES_NEVER_NAME: &[&str] = &["storage", "config"];

/// Crates that belong to some modules alone.
const CRATES: &[(&str, &[&str])] = &[
    ("actix_web", &["server", "oidc", "pages", "api", "emulator", "dashboard", "http", "cli", "testing"]),
    ("tonic", &["api", "server"]),
    ("sqlx", &["storage"]),
    ("lettre", &["mail"]),
    ("clap", &["cli", "config", "main"]),
    ("rmcp", &["cli"]),
];

pub fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|e| e == "rs") {
        found.push(path.to_owned());
    }
}

/// A module's place in the crate: `["service", "token"]`.
type ModulePath = Vec<String>;

struct Module {
    file: PathBuf,
    path: ModulePath,
    /// Paths that the file names, as they are written.
    named: BTreeSet<Vec<String>>,
    has_async: bool,
}

#[derive(Default)]
struct Names {
    named: BTreeSet<Vec<String>>,
    has_async: bool,
}

impl Names {
    fn tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
            syn::UseTree::Name(name) => self.add(before, &name.ident),
            syn::UseTree::Rename(name) => self.add(before, &name.ident),
            syn::UseTree::Glob(_) => {
                self.named.insert(before.clone());
            }
        }
    }

    fn add(&mut self, before: &[String], last: &syn::Ident) {
        self.named.insert(before.iter().cloned().chain([last.to_string()]).collect());
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &mut vec![]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.named.insert(path.segments.iter().map(|s| s.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.has_async |= signature.asyncness.is_some();
        visit::visit_signature(self, signature);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // Unit tests may use what their subject may not.
        let is_test = item.attrs.iter().any(|a| {
            a.path().is_ident("cfg") && a.parse_args::<syn::Ident>().is_ok_and(|name| name == "test")
        });
        if !is_test {
            visit::visit_item_mod(self, item);
        }
    }
}

/// All of them, read once.
static MODULES: LazyLock<Vec<Module>> = LazyLock::new(|| {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let is_tests = |file: &PathBuf| {
        let name = file.file_stem().unwrap().to_str().unwrap();
        name == "tests" || name.ends_with("_tests")
    };
    files.retain(|file| !is_tests(file) && *file != src.join("lib.rs"));
    files.into_iter().map(|file| module(&src, file)).collect()
});

fn module(src: &Path, file: PathBuf) -> Module {
    let parts = file.strip_prefix(src).unwrap().with_extension("");
    let mut path: ModulePath = parts.iter().map(|p| p.to_str().unwrap().to_owned()).collect();
    if path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    let mut names = Names::default();
    names.visit_file(&syn::parse_file(&std::fs::read_to_string(&file).unwrap()).unwrap());
    Module { file, path, named: names.named, has_async: names.has_async }
}

impl Module {
    fn top(&self) -> &str {
        &self.path[0]
    }

    /// The modules of this crate that the file names.
    fn imports(&self, all: &BTreeSet<&ModulePath>) -> BTreeSet<ModulePath> {
        let found = self.named.iter().filter_map(|written| {
            let mut target = match written[0].as_str() {
                "crate" | "vestibule" => written[1..].to_vec(),
                "self" => [&self.path[..], &written[1..]].concat(),
                "super" => {
                    let ups = written.iter().take_while(|s| *s == "super").count();
                    let above = self.path.len().checked_sub(ups)?;
                    [&self.path[..above], &written[ups..]].concat()
                }
                // A child's name; any other first word is a crate or an item.
                _ => [&self.path[..], &written[..]].concat(),
            };
            while !target.is_empty() && !all.contains(&target) {
                target.pop();
            }
            (!target.is_empty() && target != self.path).then_some(target)
        });
        found.collect()
    }
}

fn layer_of(top: &str) -> usize {
    let layer = LAYERS.iter().position(|layer| layer.contains(&top));
    layer.unwrap_or_else(|| panic!("{top} is in no layer: give it a place in LAYERS"))
}

#[test]
fn imports_point_one_way() {
    let all: BTreeSet<&ModulePath> = MODULES.iter().map(|m| &m.path).collect();
    let tops: BTreeSet<&str> = MODULES.iter().map(Module::top).collect();
    for named in LAYERS.concat() {
        assert!(tops.contains(named), "{named} is gone");
    }
    let mut wrong = Vec::new();
    for module in &*MODULES {
        let from = module.top();
        for target in module.imports(&all) {
            let to = target[0].as_str();
            let is_beside = BESIDE.contains(&(from, to));
            let is_around = layer_of(from) == layer_of("oidc") && EDGES_NEVER_NAME.contains(&to);
            if from != to && (layer_of(to) <= layer_of(from) && !is_beside || is_around) {
                wrong.push(format!("{} imports {}", module.file.display(), target.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Parents and children may know each other; siblings that do belong in one file, or have a third thing in common.
#[test]
fn siblings_do_not_import_each_other_in_circles() {
    let all: BTreeSet<&ModulePath> = MODULES.iter().map(|m| &m.path).collect();
    let mut imports: BTreeMap<ModulePath, BTreeSet<ModulePath>> = BTreeMap::new();
    for module in &*MODULES {
        for target in module.imports(&all) {
            let shared = module.path.iter().zip(&target).take_while(|(a, b)| a == b).count();
            if shared > 0 && shared < module.path.len() && shared < target.len() {
                let (from, to) = (module.path[..=shared].to_vec(), target[..=shared].to_vec());
                imports.entry(from).or_default().insert(to);
            }
        }
    }
    let mut circles = Vec::new();
    for start in imports.keys() {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&ModulePath> = imports[start].iter().collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(imports.get(next).into_iter().flatten());
            }
        }
        if reached.contains(start) {
            let among = imports[start].iter().filter(|to| {
                let mut seen = BTreeSet::new();
                let mut open = vec![*to];
                while let Some(next) = open.pop() {
                    if seen.insert(next) {
                        open.extend(imports.get(next).into_iter().flatten());
                    }
                }
                seen.contains(start)
            });
            let among: Vec<String> = among.map(|to| to.join("::")).collect();
            circles.push(format!("{} ⇄ {}", start.join("::"), among.join(", ")));
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for module in &*MODULES {
        for (name, homes) in CRATES {
            let is_named = module.named.iter().any(|written| written[0] == *name);
            if is_named && !homes.contains(&module.top()) {
                wrong.push(format!("{} names {name}", module.file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_domain_is_pure() {
    for module in MODULES.iter().filter(|m| m.top() == "domain") {
        assert!(!module.has_async, "{} waits for something", module.file.display());
        for crate_ in ["tokio", "futures_util", "http", "hyper", "reqwest"] {
            let names_it = module.named.iter().any(|written| written[0] == crate_);
            assert!(!names_it, "{} names {crate_}", module.file.display());
        }
    }
}

#[test]
fn sql_stands_in_storage_alone() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let elsewhere = files.iter().filter(|f| !f.starts_with(src.join("storage"))).filter(|f| {
        let text = std::fs::read_to_string(f).unwrap();
        ["sqlx::query", "INSERT INTO", "DELETE FROM"].iter().any(|w| text.contains(w))
    });
    assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::<&PathBuf>::new());
}
