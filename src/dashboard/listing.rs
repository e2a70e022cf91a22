//! Lists that filter and page.

use actix_web::HttpRequest;

use super::blocks::{Block, Form, FormState};
use super::{error_page, one};
use crate::http::params;
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::users::ListFilter;

/// Rows on a page.
pub const PAGE_SIZE: usize = 50;

/// What the query of a list asks for.
pub struct Listing {
    /// A part of what rows have to contain; empty: all.
    pub q: String,
    /// How many rows come before the page.
    pub offset: usize,
    /// Where the page begins, of a list that pages by tokens; empty: at the first row.
    pub page_token: String,
}

impl Listing {
    pub fn of(request: &HttpRequest) -> Self {
        let query = params::query(request).unwrap_or_default();
        Self {
            q: one(&query, "q").to_owned(),
            offset: one(&query, "from").parse().unwrap_or_default(),
            page_token: one(&query, "page").to_owned(),
        }
    }

    /// What the list asks the store for: one more than it shows, to know whether there is another.
    pub fn filter(&self) -> ListFilter {
        ListFilter {
            query: Some(self.q.clone()),
            offset: i64::try_from(self.offset).unwrap_or(i64::MAX),
            limit: i64::try_from(PAGE_SIZE + 1).unwrap_or(i64::MAX),
        }
    }

    /// Of a list that is in memory: those that contain `q`, from the offset on, one more than a page shows.
    pub fn of_all<T>(&self, all: impl IntoIterator<Item = T>, text_of: impl Fn(&T) -> String) -> Vec<T> {
        let q = self.q.to_lowercase();
        let fitting = all.into_iter().filter(|row| text_of(row).to_lowercase().contains(&q));
        fitting.skip(self.offset).take(PAGE_SIZE + 1).collect()
    }

    /// Cuts what was read, one row more than a page, to a page, and leads to the next where there is one.
    pub fn pager<T>(&self, context: &Context, path: &str, found: &mut Vec<T>) -> Block {
        let has_more = found.len() > PAGE_SIZE;
        found.truncate(PAGE_SIZE);
        let offset = self.offset.saturating_add(PAGE_SIZE).to_string();
        Block::Pager { next: has_more.then(|| self.next(context, path, ("from", &offset))) }
    }

    /// Leads to the next page of a list that pages by tokens; without a token there is none.
    pub fn token_pager(&self, context: &Context, path: &str, next_page_token: &str) -> Block {
        let has_more = !next_page_token.is_empty();
        Block::Pager { next: has_more.then(|| self.next(context, path, ("page", next_page_token))) }
    }

    fn next(&self, context: &Context, path: &str, (name, value): (&str, &str)) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let query = query.append_pair("q", &self.q).append_pair(name, value).finish();
        context.path(&format!("{path}?{query}"))
    }

    /// What stands where no row is: what would be here, or that nothing fits the search.
    pub fn empty(&self, title: &str, text: &str) -> Block {
        if self.q.is_empty() && self.offset == 0 && self.page_token.is_empty() {
            return Block::Empty { title: title.to_owned(), text: text.to_owned() };
        }
        Block::Empty {
            title: "No results".to_owned(),
            text: "Nothing matches your search. Clear it to see everything.".to_owned(),
        }
    }

    pub fn search(&self, context: &Context, path: &str, label: &str) -> Form {
        let field = FormState::default().search("search", "q", label, self.q.as_str());
        Form::get("Search", context.path(path), vec![field], "Search")
    }
}

/// The status that a list is filtered by; none is all.
///
/// # Errors
/// There is no such status.
pub fn status_filter<T>(
    request: &HttpRequest,
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, actix_web::Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let unknown =
        || error_page(request, ControlError::field("status", format!("cannot be \u{201c}{text}\u{201d}")));
    parse(text).map(Some).ok_or_else(unknown)
}
