//! What pages of the dashboard are made of. One template draws them all, so that they look and behave alike.

use askama::Template;
use serde_json::Value;

use crate::domain::authorization::Parameters;
use crate::domain::clock::{UnixMs, rfc3339};
use crate::domain::field_error::FieldError;
use crate::domain::shell::quoted;
use crate::http::views::Layout;
use crate::runtime::{Access, Context};

/// A page.
#[derive(Template)]
#[template(path = "dashboard/page.html")]
pub struct Page {
    pub layout: Layout,
    /// Something that was just done.
    pub done: Option<&'static str>,
    /// What could not be done, where it is no field's fault.
    pub problem: Option<String>,
    pub lead: Option<String>,
    /// The list that the page belongs to: its name and where it is.
    pub back: Option<(String, String)>,
    /// The search of a list.
    pub search: Option<Form>,
    /// Where something new is made, the one button that stands out: its text and where it leads.
    pub new: Option<(&'static str, String)>,
    /// Where changes of settings are taken back.
    pub reset: Option<String>,
    /// Does a script show what changes while the page is open?
    pub is_live: bool,
    pub sections: Vec<Section>,
}

impl Page {
    /// Lets one button stand out: the one for something new, or that of the first form that is filled in.
    pub fn mark_primary(&mut self) {
        let is_marked = |block: &Block| matches!(block, Block::Form(form) if form.is_primary);
        if self.new.is_some() || self.sections.iter().flat_map(|section| &section.blocks).any(is_marked) {
            return;
        }
        let blocks = self.sections.iter_mut().flat_map(|section| &mut section.blocks);
        let mut forms = blocks.filter_map(|block| match block {
            Block::Form(form) => Some(form),
            _ => None,
        });
        let is_filled_in = |form: &&mut Form| {
            let mut kinds = form.fields.iter().map(|field| &field.kind);
            !form.is_get && form.asks.is_none() && kinds.any(|kind| !matches!(kind, Kind::Hidden))
        };
        if let Some(form) = forms.find(is_filled_in) {
            form.is_primary = true;
        }
    }
}

/// A part of a page with a heading.
pub struct Section {
    pub title: String,
    pub blocks: Vec<Block>,
}

impl Section {
    pub fn new(title: impl Into<String>, blocks: Vec<Block>) -> Self {
        Self { title: title.into(), blocks }
    }

    /// The fragment that links to it name: `#recent-sign-ins`.
    pub fn anchor(&self) -> String {
        self.title.to_lowercase().replace(' ', "-")
    }
}

pub enum Block {
    Text(String),
    Facts(Vec<Fact>),
    Table(Table),
    Form(Form),
    /// Code to copy, with its name.
    Code {
        name: String,
        text: String,
    },
    /// Code to unfold.
    Folded {
        name: String,
        text: String,
    },
    /// The same code in several languages, to unfold: their names and the code.
    Codes {
        name: String,
        codes: Vec<(&'static str, String)>,
    },
    Timeline(Vec<Moment>),
    /// What to do where there is nothing yet.
    Empty {
        title: String,
        text: String,
    },
    Pager {
        next: Option<String>,
    },
    Links(Vec<(String, String)>),
    /// The pages of one thing, the one that is open among them: names and where they are.
    Tabs {
        name: String,
        tabs: Vec<(String, String, bool)>,
    },
    /// What to do first: a name, why, and where.
    Steps(Vec<Step>),
    /// How much there is: a number, of what, and where.
    Counts(Vec<(String, &'static str, String)>),
}

/// Something to do first.
pub struct Step {
    pub title: &'static str,
    pub text: String,
    pub href: String,
}

/// A name with its value, which may be copied.
pub struct Fact {
    pub name: String,
    pub value: String,
    pub is_code: bool,
    /// It is a time, which a script says by how long ago it was.
    pub is_time: bool,
}

impl Fact {
    pub fn text(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: value.into(), is_code: false, is_time: false }
    }

    pub fn code(name: &str, value: impl Into<String>) -> Self {
        Self { is_code: true, ..Self::text(name, value) }
    }

    pub fn time(name: &str, ms: UnixMs) -> Self {
        Self { is_time: true, ..Self::text(name, rfc3339(ms)) }
    }
}

pub struct Table {
    pub columns: &'static [&'static str],
    pub rows: Vec<Row>,
}

impl Table {
    fn has_actions(&self) -> bool {
        self.columns.last() == Some(&"Action")
    }
}

pub struct Row {
    pub cells: Vec<Cell>,
    /// Something to do with the row, behind a question.
    pub action: Option<Form>,
}

impl Row {
    pub fn new(cells: Vec<Cell>) -> Self {
        Self { cells, action: None }
    }
}

#[derive(Default)]
pub struct Cell {
    pub text: String,
    pub href: Option<String>,
    /// A word of praise or blame: `fine`, `wrong`, or none.
    pub tone: &'static str,
    /// It is an RFC 3339 time, which a script says by how long ago it was.
    pub is_time: bool,
    /// It is for programs, and may be copied.
    pub is_code: bool,
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub fn link(text: impl Into<String>, href: String) -> Self {
        Self { href: Some(href), ..Self::text(text) }
    }

    pub fn verdict(text: impl Into<String>, is_fine: bool) -> Self {
        Self { tone: if is_fine { "fine" } else { "wrong" }, ..Self::text(text) }
    }

    pub fn code(text: impl Into<String>) -> Self {
        Self { is_code: true, ..Self::text(text) }
    }

    pub fn time(ms: UnixMs) -> Self {
        Self { is_time: true, ..Self::text(rfc3339(ms)) }
    }

    /// A time as the API says it, or "Never".
    pub fn time_or_never(rfc3339: Option<String>) -> Self {
        let is_time = rfc3339.is_some();
        Self { is_time, ..Self::text(rfc3339.unwrap_or_else(|| "Never".to_owned())) }
    }
}

pub struct Form {
    /// Names it for screen readers, and for the button that unfolds it.
    pub name: String,
    pub action: String,
    pub is_get: bool,
    pub fields: Vec<Field>,
    pub submit: String,
    /// Asks before it does something that cannot be taken back.
    pub asks: Option<String>,
    /// Its button stands out. Pages decide it as a whole.
    pub is_primary: bool,
    /// The same by the API, for a shell.
    pub curl: Option<String>,
}

impl Form {
    pub fn post(name: &str, action: String, fields: Vec<Field>, submit: &str) -> Self {
        Self {
            name: name.to_owned(),
            action,
            is_get: false,
            fields,
            submit: submit.to_owned(),
            asks: None,
            is_primary: false,
            curl: None,
        }
    }

    pub fn get(name: &str, action: String, fields: Vec<Field>, submit: &str) -> Self {
        Self { is_get: true, ..Self::post(name, action, fields, submit) }
    }

    /// What a browser sends when nothing is changed in it.
    pub fn submitted(&self) -> Parameters {
        let sent = self.fields.iter().filter_map(|field| match field.kind {
            Kind::Check { is_on } => is_on.then(|| (field.name.to_owned(), "on".to_owned())),
            _ => Some((field.name.to_owned(), field.value.clone())),
        });
        Parameters::new(sent.collect())
    }

    /// Shows a call of the control API that does the same, as a command; called again, the calls that it takes. `path` is
    /// below `/_emulator/v1`, where Scalekit's API is at `/api`.
    pub fn curl(self, context: &Context, method: &str, path: &str) -> Self {
        self.command(context, method, path, "")
    }

    /// The same of a call with a body.
    pub fn curl_json(self, context: &Context, method: &str, path: &str, body: &Value) -> Self {
        let body =
            format!(" \\\n  -H 'content-type: application/json' \\\n  -d {}", quoted(&body.to_string()));
        self.command(context, method, path, &body)
    }

    fn command(mut self, context: &Context, method: &str, path: &str, body: &str) -> Self {
        let url = quoted(&context.public_url.join(&format!("/_emulator/v1{path}")));
        let token = match context.runtime.server.control {
            Access::Token(_) => " \\\n  -H \"authorization: Bearer $VESTIBULE_CONTROL__TOKEN\"",
            Access::Open | Access::Off => "",
        };
        let command = format!("curl -X {method} {url}{token}{body}");
        self.curl = Some(self.curl.map(|before| before + "\n" + &command).unwrap_or(command));
        self
    }

    /// A button behind a question.
    pub fn dangerous(name: &str, action: String, asks: impl Into<String>) -> Self {
        Self { asks: Some(asks.into()), ..Self::post(name, action, vec![], name) }
    }
}

pub struct Field {
    pub name: &'static str,
    pub id: String,
    pub label: String,
    pub hint: Option<String>,
    pub value: String,
    pub error: Option<String>,
    /// The key of a setting that differs from the configuration, for the button that takes the change back.
    pub changed: Option<String>,
    pub kind: Kind,
}

pub enum Kind {
    Text,
    Number,
    Search,
    Long,
    Check {
        is_on: bool,
    },
    /// Values with their names.
    Choice(Vec<(String, String)>),
    Hidden,
}

impl Field {
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }
}

/// A step of a timeline.
pub struct Moment {
    pub at: String,
    /// How long after the beginning it was, such as `+1.7 s`.
    pub offset: Option<String>,
    /// It decided how all of it ended.
    pub is_decisive: bool,
    pub name: String,
    pub text: String,
    pub tone: &'static str,
    pub facts: Vec<(String, String)>,
}

/// What was typed and what was wrong with it, when a form is shown again.
#[derive(Default)]
pub struct FormState {
    params: Option<Parameters>,
    errors: Vec<FieldError>,
    /// Which form of the page it was.
    form: &'static str,
}

impl FormState {
    pub fn new(form: &'static str, params: &Parameters, errors: Vec<FieldError>) -> Self {
        Self { params: Some(params.clone()), errors, form }
    }

    fn text_of(&self, form: &str, name: &'static str) -> Option<String> {
        let params = self.params.as_ref().filter(|_| self.form == form)?;
        Some(params.one(name).ok().flatten().unwrap_or_default().to_owned())
    }

    fn error_of(&self, form: &str, name: &str) -> Option<String> {
        if self.form != form {
            return None;
        }
        let found = self.errors.iter().find(|e| field_name(&e.field).0 == name)?;
        Some(match field_name(&found.field).1 {
            Some(line) => format!("line {line}: {}", found.reason),
            None => found.reason.clone(),
        })
    }

    /// Errors that belong to none of these fields, in one sentence.
    pub fn rest(&self, names: &[&str]) -> Option<String> {
        let others = self.errors.iter().filter(|e| !names.contains(&field_name(&e.field).0));
        let texts: Vec<String> = others
            .map(|e| {
                if e.field.is_empty() { capitalized(&e.reason) } else { format!("{} {}", e.field, e.reason) }
            })
            .collect();
        (!texts.is_empty()).then(|| format!("{}.", texts.join("; ")))
    }

    fn field(&self, form: &str, name: &'static str, label: &str, value: String, kind: Kind) -> Field {
        Field {
            id: format!("{form}-{name}"),
            label: label.to_owned(),
            hint: None,
            value: self.text_of(form, name).unwrap_or(value),
            error: self.error_of(form, name),
            changed: None,
            name,
            kind,
        }
    }

    pub fn text(&self, form: &str, name: &'static str, label: &str, value: impl Into<String>) -> Field {
        self.field(form, name, label, value.into(), Kind::Text)
    }

    #[expect(clippy::needless_pass_by_value, reason = "numbers")]
    pub fn number(&self, form: &str, name: &'static str, label: &str, value: impl ToString) -> Field {
        self.field(form, name, label, value.to_string(), Kind::Number)
    }

    pub fn long(&self, form: &str, name: &'static str, label: &str, value: impl Into<String>) -> Field {
        self.field(form, name, label, value.into(), Kind::Long)
    }

    pub fn search(&self, form: &str, name: &'static str, label: &str, value: impl Into<String>) -> Field {
        self.field(form, name, label, value.into(), Kind::Search)
    }

    pub fn check(&self, form: &str, name: &'static str, label: &str, is_on: bool) -> Field {
        let form_state = self.text_of(form, name);
        let is_on = form_state.map_or(is_on, |text| text == "on");
        self.field(form, name, label, String::new(), Kind::Check { is_on })
    }

    pub fn choice(
        &self,
        form: &str,
        name: &'static str,
        label: &str,
        value: &str,
        choices: &[(&'static str, &'static str)],
    ) -> Field {
        let choices = choices.iter().map(|(value, name)| ((*value).to_owned(), (*name).to_owned()));
        self.choice_of(form, name, label, value, choices.collect())
    }

    /// A choice among values that are known only now, with their names.
    pub fn choice_of(
        &self,
        form: &str,
        name: &'static str,
        label: &str,
        value: &str,
        choices: Vec<(String, String)>,
    ) -> Field {
        self.field(form, name, label, value.to_owned(), Kind::Choice(choices))
    }
}

/// The field of a form that an error's field means, and which line of it: of `clients[0].redirect_uris` and of
/// `client.redirect_uris[1]` it is `redirect_uris`, and of the latter its second line.
fn field_name(field: &str) -> (&str, Option<usize>) {
    let last = field.rsplit('.').next().unwrap_or_default();
    let Some((name, index)) = last.strip_suffix(']').and_then(|text| text.split_once('[')) else {
        return (last, None);
    };
    (name, index.parse::<usize>().ok().and_then(|index| index.checked_add(1)))
}

/// The same text as a sentence begins.
pub fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A value that a form carries unseen.
pub fn hidden(name: &'static str, value: impl Into<String>) -> Field {
    Field {
        name,
        id: String::new(),
        label: String::new(),
        hint: None,
        value: value.into(),
        error: None,
        changed: None,
        kind: Kind::Hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stands_beside_the_field_of_its_last_name_and_says_the_line() {
        let params = Parameters::default();
        let errors = [
            ("clients[0].redirect_uris", "is wrong"),
            ("client.scopes[1]", "has a space"),
            ("", "organization user limit reached"),
            ("user.membership.roles[0]", "is unknown"),
        ];
        let errors = errors.map(|(field, reason)| FieldError::new(field, reason)).to_vec();
        let state = FormState::new("form", &params, errors);
        let error = |form: &str, name| state.error_of(form, name);
        assert_eq!(error("form", "redirect_uris").as_deref(), Some("is wrong"));
        assert_eq!(error("form", "scopes").as_deref(), Some("line 2: has a space"));
        assert_eq!(error("other", "scopes"), None);
        let rest = state.rest(&["redirect_uris", "scopes"]);
        assert_eq!(
            rest.as_deref(),
            Some("Organization user limit reached; user.membership.roles[0] is unknown.")
        );
        assert_eq!(FormState::default().rest(&[]), None);
    }
}
