//! People who do not exist in the place of those who do: the same one for the same record, in every file.

use std::collections::BTreeMap;

use crate::cli::made_up_names::{organization_name, person, slug};
use crate::cli::seed_file::{Organization, SeedFile, User};

/// Replaces names, email addresses and external ids, and takes out pictures and metadata. Ids, roles, memberships and
/// who shares a domain with whom stay.
pub(super) fn anonymize(file: &mut SeedFile) {
    // Ids grow with time: a later import of the same environment gives everybody the same name.
    file.organizations.sort_by(|a, b| by_id(&a.id, &b.id));
    file.users.sort_by(|a, b| by_id(&a.id, &b.id));
    let mut domains = Domains::default();
    for (number, organization) in file.organizations.iter_mut().enumerate() {
        rename_organization(organization, number, &mut domains);
    }
    for (number, user) in file.users.iter_mut().enumerate() {
        rename_user(user, number, &mut domains);
    }
}

/// By their digits, of which older ids may have fewer.
fn by_id(a: &str, b: &str) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// The domain that stands for another one.
#[derive(Default)]
struct Domains {
    made_up: BTreeMap<String, String>,
}

impl Domains {
    fn in_place_of(&mut self, domain: &str, first_choice: &str) -> String {
        let domain = domain.to_lowercase();
        if let Some(known) = self.made_up.get(&domain) {
            return known.clone();
        }
        let is_taken = self.made_up.values().any(|made_up| made_up == first_choice);
        let number = self.made_up.len();
        let new = if is_taken { format!("domain{number}.example") } else { first_choice.to_owned() };
        self.made_up.insert(domain, new.clone());
        new
    }
}

fn rename_organization(organization: &mut Organization, number: usize, domains: &mut Domains) {
    organization.display_name = organization_name(number);
    let slug = slug(&organization.display_name);
    let first_choice = format!("{slug}.example");
    for domain in organization.domains.iter_mut().chain(&mut organization.allowed_email_domains) {
        *domain = domains.in_place_of(domain, &first_choice);
    }
    organization.external_id = organization.external_id.as_ref().map(|_| slug.clone());
    organization.slug = organization.slug.as_ref().map(|_| slug.clone());
    organization.metadata.clear();
}

fn rename_user(user: &mut User, number: usize, domains: &mut Domains) {
    let person = person(number);
    let domain = user.email.rsplit('@').next().unwrap_or_default();
    let domain = domains.in_place_of(domain, "people.example");
    user.email = format!("{}@{domain}", person.mailbox);
    user.name = Some(format!("{} {}", person.given_name, person.family_name));
    user.given_name = Some(person.given_name.to_owned());
    user.family_name = Some(person.family_name.to_owned());
    user.external_id = user.external_id.as_ref().map(|_| format!("user-{}", number + 1));
    user.picture = None;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::seed_file::SeedFormat;

    fn file() -> SeedFile {
        let user = |id: &str, email: &str| User {
            id: id.into(),
            email: email.into(),
            name: Some("Jane Doe".into()),
            external_id: Some("jane@real.test".into()),
            picture: Some("https://real.test/jane.png".into()),
            organizations: vec!["org_1".into()],
            ..User::default()
        };
        let real = Organization {
            id: "org_1".into(),
            display_name: "Real".into(),
            slug: Some("real".into()),
            domains: vec!["real.test".into(), "also-real.test".into()],
            metadata: [("owner".to_owned(), "Jane Doe".to_owned())].into(),
            ..Organization::default()
        };
        let users = vec![
            user("usr_10", "jane@real.test"),
            user("usr_9", "bob@Real.test"),
            user("usr_8", "x@else.test"),
        ];
        SeedFile { organizations: vec![real], users, ..SeedFile::default() }
    }

    #[test]
    fn nothing_personal_is_left_and_who_belongs_together_still_does() {
        let mut anonymous = file();
        anonymize(&mut anonymous);
        let text = anonymous.render(SeedFormat::Toml).unwrap().to_lowercase();
        for personal in ["jane", "bob", "doe", "real", "else.test", "png"] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
        let [first, second, third] = anonymous.users.as_slice() else { panic!("{text}") };
        assert_eq!([&first.id, &second.id, &third.id], ["usr_8", "usr_9", "usr_10"]);
        let domain = |user: &User| user.email.rsplit('@').next().unwrap().to_owned();
        assert_eq!(domain(second), domain(third), "the same domain, however it was spelled");
        assert_eq!(domain(second), anonymous.organizations[0].domains[0]);
        assert_ne!(domain(first), domain(second));
        assert_eq!(third.organizations, ["org_1"]);

        let mut again = file();
        anonymize(&mut again);
        assert_eq!(again.render(SeedFormat::Toml).unwrap().to_lowercase(), text);
    }
}
