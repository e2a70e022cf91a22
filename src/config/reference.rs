//! What is known about all settings, as documents: `vestibule.example.toml` and the tables of docs/CONFIGURATION.md.

use serde_json::Value;

use super::sections;
use super::setting::{Facts, Section, Values};

impl Section {
    /// How its table is begun in the file.
    fn header(&self) -> String {
        let Self { table, is_list, .. } = self;
        if *is_list { format!("[[{table}]]") } else { format!("[{table}]") }
    }

    /// The variable that sets one of its settings; lists of tables have none.
    fn variable(&self, setting: &Facts) -> Option<String> {
        let name = setting.key.replace('.', "__").to_uppercase();
        // Each text of a table has one of its own.
        let entry = if setting.values == Values::Table { "__NAME" } else { "" };
        (!self.is_list).then(|| format!("VESTIBULE_{name}{entry}"))
    }
}

impl Facts {
    /// What it may be, in words.
    fn values_text(&self) -> String {
        match self.values {
            Values::Boolean => "`true` or `false`".to_owned(),
            Values::Integer(first, last) => format!("{first} to {last}"),
            Values::Text => "text".to_owned(),
            Values::List => "list of texts".to_owned(),
            Values::Table => "table of texts".to_owned(),
            Values::Choice => {
                let words: Vec<String> = self.words.iter().map(|word| format!("`{word}`")).collect();
                words.join(", ")
            }
        }
    }

    fn default_text(&self) -> String {
        let usual = match &self.default {
            Some(default) => format!("`{}`", toml(default)),
            None if self.example == "" => "unset".to_owned(),
            None => format!("unset; example: `{}`", toml(&self.example)),
        };
        let exception = self.exception.as_ref();
        usual + &exception.map(|(case, value)| format!("; in {case} `{}`", toml(value))).unwrap_or_default()
    }

    /// The lines of the example file about it.
    fn comment(&self) -> String {
        let mut text = self.about.to_owned();
        if let Values::Integer(first, last) = self.values {
            text.push_str(&format!(" {first} to {last}."));
        }
        if let Some((case, value)) = &self.exception {
            text.push_str(&format!(" Default in {case}: {}.", toml(value)));
        }
        text
    }
}

/// A value as TOML, which writes texts, numbers and booleans as JSON does.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// The text of `vestibule.example.toml`.
pub fn example_toml() -> String {
    let mut out = String::from(
        "# Every setting of Vestibule. Copy what you need into vestibule.toml.\n\
         # Later layers win: this file, then VESTIBULE_* variables (and DATABASE_URL), then flags.\n",
    );
    for section in sections() {
        out.push_str(&format!("\n# {}\n", section.about));
        if !section.table.is_empty() {
            out.push_str(&format!("#{}\n", section.header()));
        }
        for setting in &section.settings {
            let comment = setting.comment();
            if !comment.is_empty() {
                out.push_str(&format!("# {comment}\n"));
            }
            let (_, name) = setting.table_and_name();
            out.push_str(&format!("#{name} = {}\n", toml(&setting.example)));
        }
    }
    out
}

/// The tables of docs/CONFIGURATION.md.
pub fn reference_markdown() -> String {
    let mut out = String::new();
    for section in sections() {
        let title =
            if section.table.is_empty() { "Top level".to_owned() } else { format!("`{}`", section.header()) };
        out.push_str(&format!(
            "## {title}\n\n{}\n\n| setting | values | default | meaning |\n|---|---|---|---|\n",
            section.about
        ));
        section.settings.iter().for_each(|setting| out.push_str(&row(section, setting)));
        out.push('\n');
    }
    out
}

fn row(section: &Section, setting: &Facts) -> String {
    let (_, name) = setting.table_and_name();
    let variables = section.variable(setting).into_iter().chain(setting.variable.map(str::to_owned));
    let mut names = format!("`{name}`");
    variables.for_each(|variable| names.push_str(&format!("<br>`{variable}`")));
    if setting.is_changeable() {
        names.push_str("<br>changeable");
    }
    let (values, default) = (setting.values_text(), setting.default_text());
    format!("| {names} | {values} | {default} | {} |\n", setting.about)
}
