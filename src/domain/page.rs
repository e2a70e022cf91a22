//! Pages of a list, newest first. A page begins behind a record, or ends before one; which one says a token. So a record
//! that was there all the time is on one page, whatever is added and deleted meanwhile.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::api_error::FieldViolation;
use super::clock::UnixMs;

/// Most records of a page.
const MAX_SIZE: u32 = 100;

/// Which records come first, and where a record stands among them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// When the record was made.
    pub created_at_ms: UnixMs,
    /// Its id, which grows with time too.
    pub id: String,
}

/// Which records of a list a page has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PageAnchor {
    /// The newest ones.
    #[default]
    Newest,
    /// Those that are next behind a record.
    After(Position),
    /// Those that are next before a record.
    Before(Position),
}

/// A page that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Where it begins or ends.
    pub anchor: PageAnchor,
    /// Most records.
    pub size: u32,
}

/// What a token is a page of: the list and how it is filtered. A token of one list is none of another.
pub type Scope<'s> = &'s [&'s str];

/// A page, newest record first. Tokens are empty where there is no such page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page<T> {
    /// Its records.
    pub records: Vec<T>,
    /// How many records the list has in all.
    pub total: u32,
    /// Token of the page behind it.
    pub next_page_token: String,
    /// Token of the page before it.
    pub prev_page_token: String,
}

impl PageRequest {
    /// Reads `page_size`, 0 of which is the default, and `page_token`.
    ///
    /// # Errors
    /// The token is none of this list.
    pub fn parse(
        size: u32,
        default_size: u32,
        token: &str,
        scope: Scope<'_>,
    ) -> Result<Self, FieldViolation> {
        let anchor = PageAnchor::parse(token, scope).ok_or_else(|| {
            let text = "page_token is invalid: invalid page token, which is none that this list gave";
            FieldViolation::new("page_token", "page_token", text)
        })?;
        let size = if size == 0 { default_size } else { size.min(MAX_SIZE) };
        Ok(Self { anchor, size })
    }

    /// How many records to read: one more than shown, to know whether there are more.
    pub fn limit(&self) -> i64 {
        i64::from(self.size) + 1
    }

    /// How many records the list has, where what was read with [`PageRequest::limit`] shows it: the list ends on its first
    /// page.
    pub fn known_total<T>(&self, found: &[T]) -> Option<i64> {
        let count = i64::try_from(found.len()).ok()?;
        (self.anchor == PageAnchor::Newest && count < self.limit()).then_some(count)
    }

    /// The page of what was read with [`PageRequest::limit`]: from the record that it begins or ends at on, so that those
    /// of a page before a record come oldest first.
    pub fn page<T>(
        &self,
        mut records: Vec<T>,
        total: i64,
        scope: Scope<'_>,
        position: impl Fn(&T) -> Position,
    ) -> Page<T> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let has_more = records.len() > size;
        records.truncate(size);
        let is_backwards = matches!(self.anchor, PageAnchor::Before(_));
        if is_backwards {
            records.reverse();
        }
        let has_next = if is_backwards { true } else { has_more };
        let has_prev = if is_backwards { has_more } else { matches!(self.anchor, PageAnchor::After(_)) };
        let next = records.last().filter(|_| has_next).map(|last| PageAnchor::After(position(last)));
        let prev = records.first().filter(|_| has_prev).map(|first| PageAnchor::Before(position(first)));
        Page {
            total: u32::try_from(total).unwrap_or(u32::MAX),
            next_page_token: next.map(|anchor| anchor.token(scope)).unwrap_or_default(),
            prev_page_token: prev.map(|anchor| anchor.token(scope)).unwrap_or_default(),
            records,
        }
    }
}

impl PageAnchor {
    /// Time and id that the page's records are beyond: older, or newer where it ends before a record.
    pub fn bound(&self) -> (UnixMs, &str) {
        match self {
            Self::Newest => (UnixMs::MAX, ""),
            Self::After(position) | Self::Before(position) => (position.created_at_ms, &position.id),
        }
    }

    /// `None`: this is no token of the list.
    fn parse(token: &str, scope: Scope<'_>) -> Option<Self> {
        if token.is_empty() {
            return Some(Self::Newest);
        }
        let (direction, encoded) = token.split_at_checked(2)?;
        let json = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (created_at_ms, id, of): (UnixMs, String, Vec<String>) = serde_json::from_slice(&json).ok()?;
        if of != scope {
            return None;
        }
        let position = Position { created_at_ms, id };
        match direction {
            ">:" => Some(Self::After(position)),
            "<:" => Some(Self::Before(position)),
            _ => None,
        }
    }

    fn token(&self, scope: Scope<'_>) -> String {
        let (direction, Position { created_at_ms, id }) = match self {
            Self::Newest => return String::new(),
            Self::After(position) => (">:", position),
            Self::Before(position) => ("<:", position),
        };
        let json = serde_json::json!([created_at_ms, id, scope]).to_string();
        format!("{direction}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    const SCOPE: Scope<'_> = &["organizations"];

    fn request(size: u32, token: &str) -> PageRequest {
        PageRequest::parse(size, 10, token, SCOPE).unwrap()
    }

    fn position(number: u32) -> Position {
        Position { created_at_ms: i64::from(number / 3), id: format!("org_{number:05}") }
    }

    /// What a store answers.
    fn read(list: &BTreeSet<u32>, request: &PageRequest) -> Vec<u32> {
        let limit = usize::try_from(request.limit()).unwrap();
        let newest_first = || list.iter().rev().copied();
        match &request.anchor {
            PageAnchor::Newest => newest_first().take(limit).collect(),
            PageAnchor::After(at) => newest_first().filter(|n| position(*n) < *at).take(limit).collect(),
            PageAnchor::Before(at) => {
                list.iter().copied().filter(|n| position(*n) > *at).take(limit).collect()
            }
        }
    }

    fn page(list: &BTreeSet<u32>, request: &PageRequest) -> Page<u32> {
        let total = i64::try_from(list.len()).unwrap();
        request.page(read(list, request), total, SCOPE, |n| position(*n))
    }

    #[test]
    fn sizes_have_a_default_and_a_maximum() {
        assert_eq!([0, 1, 100, 101].map(|size| request(size, "").size), [10, 1, 100, 100]);
    }

    #[test]
    fn a_token_is_good_for_its_list_alone() {
        let token = PageAnchor::After(position(7)).token(SCOPE);
        assert_eq!(request(1, &token).anchor, PageAnchor::After(position(7)));
        for scope in [&["users"][..], &[], &["organizations", "acme"]] {
            assert!(PageRequest::parse(1, 10, &token, scope).is_err(), "{scope:?}");
        }
    }

    proptest! {
        #[test]
        fn what_no_list_gave_is_refused(token in ".{1,60}") {
            prop_assert!(PageRequest::parse(1, 10, &token, SCOPE).is_err());
        }

        #[test]
        fn every_record_is_on_one_page_in_order_while_others_come_and_go(
            lasting in prop::collection::btree_set(0..500_u32, 0..60),
            passing in prop::collection::vec(prop::collection::btree_set(0..500_u32, 0..10), 1..8),
            size in 1..25_u32,
        ) {
            let mut passing = passing.iter().cycle();
            let (mut seen, mut token) = (vec![], String::new());
            loop {
                let list = &lasting | passing.next().unwrap();
                let page = page(&list, &request(size, &token));
                prop_assert!(page.records.len() <= size as usize);
                seen.extend(page.records);
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            prop_assert!(seen.is_sorted_by(|one, two| one > two), "{:?}", seen);
            seen.retain(|n| lasting.contains(n));
            prop_assert_eq!(seen, lasting.iter().rev().copied().collect::<Vec<_>>());
        }

        #[test]
        fn the_total_is_known_where_the_list_ends_on_its_first_page_and_nowhere_else(
            list in prop::collection::btree_set(0..500_u32, 0..60), size in 1..25_u32,
        ) {
            let all = i64::try_from(list.len()).unwrap();
            let mut token = String::new();
            loop {
                let request = request(size, &token);
                let found = read(&list, &request);
                let is_known = list.len() <= size as usize;
                prop_assert_eq!(request.known_total(&found), is_known.then_some(all));
                token = request.page(found, all, SCOPE, |n| position(*n)).next_page_token;
                if token.is_empty() {
                    break;
                }
            }
        }

        #[test]
        fn the_page_before_the_next_one_is_the_same_again(
            list in prop::collection::btree_set(0..500_u32, 0..60), size in 1..25_u32,
        ) {
            let (mut token, mut pages) = (String::new(), vec![]);
            loop {
                let found = page(&list, &request(size, &token));
                token.clone_from(&found.next_page_token);
                pages.push(found);
                if token.is_empty() {
                    break;
                }
            }
            for (earlier, later) in pages.iter().zip(pages.iter().skip(1)) {
                prop_assert_eq!(&page(&list, &request(size, &later.prev_page_token)).records, &earlier.records);
            }
            prop_assert_eq!(&pages[0].prev_page_token, "");
        }
    }
}
