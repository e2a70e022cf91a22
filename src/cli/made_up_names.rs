//! Names of people and organizations that do not exist: the same for the same number, and no two alike.

const GIVEN: [&str; 40] = [
    "Amara", "Ben", "Chloé", "Diego", "Elif", "Finn", "Grace", "Hiro", "Ines", "Jonas", "Keiko", "Liam",
    "Mei", "Noah", "Olga", "Pedro", "Quinn", "Rosa", "Samir", "Tara", "Uma", "Viktor", "Wanda", "Xavier",
    "Yara", "Zoë", "Aisha", "Bruno", "Carmen", "Daniel", "Emma", "Farid", "Greta", "Hugo", "Ivana", "Julia",
    "Kofi", "Lena", "Mateo", "Nadia",
];

const FAMILY: [&str; 50] = [
    "Abbott",
    "Baker",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Haddad",
    "Ivanov",
    "Jensen",
    "Kowalski",
    "Lopez",
    "Murphy",
    "Nakamura",
    "Okafor",
    "Patel",
    "Quiroga",
    "Rossi",
    "Schmidt",
    "Tanaka",
    "Ueda",
    "Varga",
    "Weber",
    "Xu",
    "Yilmaz",
    "Zhang",
    "Andersson",
    "Brown",
    "Cohen",
    "Diaz",
    "Evans",
    "Ferreira",
    "Gruber",
    "Hoffmann",
    "Ito",
    "Johansson",
    "Khan",
    "Larsen",
    "Moreau",
    "Novak",
    "Olsen",
    "Popescu",
    "Reid",
    "Silva",
    "Sørensen",
    "Taylor",
    "Usman",
    "Vega",
    "Walsh",
    "Young",
];

const FIRST_WORDS: [&str; 10] =
    ["Alder", "Beacon", "Cedar", "Drift", "Ember", "Fjord", "Granite", "Harbor", "Indigo", "Juniper"];

const SECOND_WORDS: [&str; 10] =
    ["Logistics", "Labs", "Health", "Foods", "Energy", "Media", "Systems", "Partners", "Robotics", "Finance"];

/// A user who does not exist.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub given_name: &'static str,
    pub family_name: &'static str,
    /// The part of the address before `@`.
    pub mailbox: String,
}

/// The user of this number.
pub(super) fn person(number: usize) -> Person {
    // The family name moves on with every round of given names, so that a pair comes back only after all of them.
    let given_name = GIVEN[number % GIVEN.len()];
    let family_name = FAMILY[(number + number / GIVEN.len()) % FAMILY.len()];
    let lap = number / (GIVEN.len() * FAMILY.len());
    let mailbox = format!("{}.{}{}", ascii(given_name), ascii(family_name), suffix("", lap));
    Person { given_name, family_name, mailbox }
}

/// The name of the organization of this number.
pub(super) fn organization_name(number: usize) -> String {
    let first = FIRST_WORDS[number % FIRST_WORDS.len()];
    let second = SECOND_WORDS[(number + number / FIRST_WORDS.len()) % SECOND_WORDS.len()];
    let lap = number / (FIRST_WORDS.len() * SECOND_WORDS.len());
    format!("{first} {second}{}", suffix(" ", lap))
}

/// The same as a name in URLs and hosts.
pub(super) fn slug(organization_name: &str) -> String {
    organization_name.to_ascii_lowercase().replace(' ', "-")
}

fn suffix(separator: &str, lap: usize) -> String {
    if lap == 0 { String::new() } else { format!("{separator}{}", lap + 1) }
}

fn ascii(name: &str) -> String {
    let plain = |letter: char| match letter {
        'é' | 'ë' => 'e',
        'ø' => 'o',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::email::EmailAddress;
    use crate::domain::organization::bad_slug;

    #[test]
    fn no_two_users_have_one_address_and_no_two_organizations_one_name() {
        let addresses: BTreeSet<String> =
            (0..5_000).map(|n| format!("{}@a.example", person(n).mailbox)).collect();
        assert_eq!(addresses.len(), 5_000);
        assert!(addresses.iter().all(|address| address.is_ascii() && EmailAddress::parse(address).is_ok()));
        let slugs: BTreeSet<String> = (0..1_000).map(|n| slug(&organization_name(n))).collect();
        assert_eq!(slugs.len(), 1_000);
        assert!(slugs.iter().all(|slug| bad_slug(slug).is_none()));
    }

    #[test]
    fn a_number_always_means_the_same() {
        assert_eq!(person(2).mailbox, "chloe.costa");
        assert_eq!(person(2_002).mailbox, "chloe.costa2");
        assert_eq!((person(40).given_name, person(40).family_name), ("Amara", "Popescu"));
        assert_eq!(
            (organization_name(0), organization_name(10)),
            ("Alder Logistics".into(), "Alder Labs".into())
        );
        assert_eq!(organization_name(100), "Alder Logistics 2");
    }
}
