//! `[token_template]`: claims of an application's own in access tokens.

use super::setting::{Pairs, Section, Setting};
use super::source::Source;
use crate::domain::token_template::{MAX_CLAIMS, TemplateClaim, TokenTemplate};

static ENABLED: Setting<bool> =
    Setting::boolean("token_template.enabled", true, "Whether access tokens have these claims.")
        .changeable(|e| e.token_template.is_enabled.into());

static CLAIMS: Setting<Option<Pairs>> = Setting::optional_table(
    "token_template.claims",
    &[("plan", "organization.metadata.plan ?? \"free\"")],
    "Claims by name, each an expression over user and organization, with or without `{{ }}`: a path, `?.` to go on from what may be missing, `??` for a fallback. A claim without a value is left out; an empty expression takes a claim away.",
)
.changeable(|e| e.token_template.to_json());

pub(super) fn section() -> Section {
    Section {
        table: "token_template",
        is_list: false,
        about: "Claims of your own in access tokens, recomputed with each token.",
        settings: vec![ENABLED.facts(), CLAIMS.facts()],
    }
}

pub(super) fn read(source: &mut Source) -> TokenTemplate {
    let mut claims = vec![];
    for (name, expression) in source.optional_table(&CLAIMS) {
        match TemplateClaim::parse(&name, &expression) {
            Ok(claim) => claims.extend(claim),
            Err(error) => source.problem(&format!("{}.{name}", CLAIMS.key()), error.to_string()),
        }
    }
    if claims.len() > MAX_CLAIMS {
        source.problem(CLAIMS.key(), format!("must have at most {MAX_CLAIMS} claims"));
    }
    TokenTemplate { is_enabled: source.boolean(&ENABLED), claims }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read_toml(toml: &str) -> (TokenTemplate, Vec<(String, String)>) {
        let mut source = Source::default();
        source.add_file(Path::new("vestibule.toml"), toml);
        let template = read(&mut source);
        let problems = source.finish().into_iter();
        (template, problems.map(|problem| (problem.key, problem.message)).collect())
    }

    #[test]
    fn claims_are_expressions_by_name() {
        let (template, problems) = read_toml(
            "[token_template.claims]\nplan = 'organization.metadata.plan ?? \"free\"'\n\
             \"https://acme.test/role\" = \"{{user.metadata.role}}\"\ngone = \"\"\n",
        );
        assert_eq!(problems, []);
        let names: Vec<&str> = template.claims.iter().map(|claim| claim.name.as_str()).collect();
        assert_eq!(names, ["https://acme.test/role", "plan"]);
        assert!(template.is_active() && !read_toml("[token_template]\n").0.is_active());
        let off = read_toml("[token_template]\nenabled = false\nclaims = { a = \"user.id\" }\n").0;
        assert!(!off.is_active());
    }

    #[test]
    fn reserved_names_and_bad_expressions_are_named() {
        let problem = |line: &str| read_toml(&format!("[token_template.claims]\n{line}\n")).1;
        for (line, key, said) in [
            ("roles = \"user.id\"", "token_template.claims.roles", "is reserved"),
            ("plan = \"free\"", "token_template.claims.plan", "texts stand in quotes"),
            ("plan = \"user.\"", "token_template.claims.plan", "a field name is missing"),
            ("plan = 1", "token_template.claims.plan", "must be text"),
        ] {
            let found = problem(line);
            assert!(found.len() == 1 && found[0].0 == key && found[0].1.contains(said), "{line}: {found:?}");
        }
        let many: Vec<String> = (0..=MAX_CLAIMS).map(|at| format!("c{at} = \"user.id\"")).collect();
        assert_eq!(problem(&many.join("\n"))[0].0, "token_template.claims");
    }
}
