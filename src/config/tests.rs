use std::path::Path;

use secrecy::ExposeSecret as _;

use super::*;
use crate::crypto::entropy::SystemEntropy;
use crate::domain::client::ClientKind;
use crate::domain::environment_name::EnvironmentName;
use crate::domain::settings::PasswordlessType;

fn load_with(toml: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
    let mut source = Source::default();
    source.add_file(Path::new("vestibule.toml"), toml);
    source.add_variables(variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
    Config::read(source, Path::new("."))
}

fn load(toml: &str) -> Result<Config, Problems> {
    load_with(toml, &[])
}

fn problems(toml: &str) -> Vec<String> {
    load(toml).err().map(|p| p.0.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

#[test]
fn nothing_set_is_a_whole_configuration() {
    let config = load("").unwrap();
    assert_eq!(config.listen.to_string(), "localhost:6870");
    assert!(matches!(config.database, Database::Sqlite));
    let ids: Vec<&str> = config.environment.clients.iter().map(|c| c.client_id.as_str()).collect();
    assert_eq!(ids, [DEFAULT_CLIENT_ID, DEFAULT_SPA_CLIENT_ID]);
    assert!(config.environment.clients[1].needs_pkce());
    assert_eq!(config.shown_public_client(), Some(DEFAULT_SPA_CLIENT_ID));
    assert_eq!(config.shown_client().unwrap().0, DEFAULT_CLIENT_ID);
    assert_eq!(config.environment.passwordless.validity_s, 300);
    assert_eq!(config.environment.tokens.access_token_lifetime_s, 900);
    assert_eq!(config.environment.limits.mails_per_address, Some(2));
}

#[test]
fn variables_win_over_the_file() {
    let file = "[passwordless]\ntype = \"OTP\"\nvalidity_s = 600\n";
    let variables =
        [("VESTIBULE_PASSWORDLESS__TYPE", "LINK"), ("DATABASE_URL", "postgres://localhost/x"), ("HOME", "/")];
    let config = load_with(file, &variables).unwrap();
    assert_eq!(config.environment.passwordless.passwordless_type, PasswordlessType::Link);
    assert_eq!(config.environment.passwordless.validity_s, 600);
    assert!(matches!(config.database, Database::Postgres { .. }));
}

#[test]
fn flags_win_over_variables() {
    let overrides = Overrides { listen: Some("127.0.0.1:0".into()), ephemeral: true, ..Overrides::default() };
    let variables = [("VESTIBULE_LISTEN", "127.0.0.1:1")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    let config = Config::load(&overrides, variables.into_iter(), &SystemEntropy).unwrap();
    assert_eq!(config.listen.port, 0);
    assert!(matches!(config.database, Database::Ephemeral));
}

#[test]
fn every_mistake_is_named_at_once_with_file_and_line() {
    let found = problems(
        "mode = \"dev\"\n\
         [passwordless]\n\
         validty_s = 300\n\
         validity_s = 30\n\
         type = 7\n\
         [[clients]]\n\
         client_id = \"a\"\n\
         type = \"spa\"\n\
         client_secret = \"x\"\n\
         redirect_uris = [\"https://*.com/cb\", \"javascript:alert(1)\"]\n",
    );
    let expected = [
        "vestibule.toml:1: mode must be one of: development, production",
        "vestibule.toml:3: passwordless.validty_s is not a setting; did you mean passwordless.validity_s?",
        "vestibule.toml:4: passwordless.validity_s must be a whole number from 60 to 3600",
        "vestibule.toml:5: passwordless.type must be text, in quotes",
        "vestibule.toml:9: clients[0].client_secret must be left out: public clients (spa, native) have none",
    ];
    for text in expected {
        assert!(found.iter().any(|p| p == text), "{text}\nis missing in {found:#?}");
    }
    assert_eq!(
        found.iter().filter(|p| p.starts_with("vestibule.toml:10: clients[0].redirect_uris")).count(),
        2,
        "{found:#?}"
    );
}

#[test]
fn a_name_that_is_like_no_other_is_told_what_its_table_has() {
    let found =
        problems("[[users]]\nemail = \"ada@example.com\"\n[[users.memberships]]\norganization = \"acme\"\n");
    let settings =
        "email, external_id, family_name, given_name, id, locale, name, organizations, picture, roles";
    assert_eq!(
        found,
        [format!(
            "vestibule.toml:4: users[0].memberships[0].organization is not a setting; the settings of users[0] are {settings}"
        )]
    );
    assert_eq!(problems("colour = \"red\""), ["vestibule.toml:1: colour is not a setting"]);
}

#[test]
fn a_file_that_is_no_toml_is_named_with_its_line() {
    let found = problems("mode = \"development\"\nlisten = \n");
    assert!(found.iter().any(|p| p.starts_with("vestibule.toml:2: ")), "{found:?}");
}

#[test]
fn variables_of_the_tests_are_no_settings() {
    assert!(
        load_with("", &[("VESTIBULE_TEST_SKIPPED", "skipped.txt"), ("VESTIBULE_BIN", "vestibule")]).is_ok()
    );
}

#[test]
fn a_wrong_variable_is_named() {
    let found = load_with("", &[("VESTIBULE_LIMITS__CODE_ATTEMPTS", "many"), ("VESTIBULE_LISTENN", "x")])
        .unwrap_err();
    let found: Vec<String> = found.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        found[0],
        "VESTIBULE_LIMITS__CODE_ATTEMPTS: limits.code_attempts must be a whole number from 1 to 100"
    );
    assert_eq!(found[1], "VESTIBULE_LISTENN: listenn is not a setting; did you mean listen?");
}

#[test]
fn well_known_credentials_are_for_loopback_only() {
    let found = problems("listen = \"0.0.0.0:6870\"");
    for name in ["client_secret", "control.token", "public_urls"] {
        assert!(found.iter().any(|p| p.starts_with(name)), "{name} is missing in {found:?}");
    }
    let exposed = "listen = \"0.0.0.0:6870\"\nclient_id = \"skc_1\"\nclient_secret = \"a secret of our own\"\n\
                   public_urls = [\"http://localhost:6870\"]\n[control]\ntoken = \"a token of our own\"\n";
    assert!(load(exposed).is_ok());
    assert!(load("listen = \"[::1]:6870\"").is_ok());
}

/// Tables of clients that hold the well-known secret somewhere, and the setting that is wrong.
fn clients_with_the_well_known_secret() -> Vec<(String, &'static str)> {
    let client = |fields: &str| format!("[[clients]]\nclient_id = \"skc_own\"\n{fields}\n");
    let own = client("client_secret = \"a secret of our own\"");
    let hash = crate::crypto::client_secrets::hash_secret(
        DEFAULT_CLIENT_SECRET,
        &crate::crypto::entropy::SystemEntropy,
    );
    vec![
        (client(&format!("client_secret = \"{DEFAULT_CLIENT_SECRET}\"")), "clients[0].client_secret "),
        (
            client(&format!("client_secrets = [\"a secret of our own\", \"{DEFAULT_CLIENT_SECRET}\"]")),
            "clients[0].client_secrets ",
        ),
        (client(&format!("client_secret_argon2 = '{}'", hash.unwrap())), "clients[0].client_secret_argon2 "),
        (
            format!(
                "{own}[[clients]]\nclient_id = \"{DEFAULT_CLIENT_ID}\"\nclient_secret = \"{DEFAULT_CLIENT_SECRET}\"\n"
            ),
            "clients[1].client_secret ",
        ),
    ]
}

#[test]
fn the_well_known_secret_is_refused_wherever_it_stands() {
    let exposed = "listen = \"0.0.0.0:6870\"\npublic_urls = [\"http://localhost:6870\"]\n\
                   [control]\ntoken = \"a token of our own\"\n";
    let exposed_tls = exposed.replace("listen =", "listen_tls =");
    let production = "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\n\
                      [smtp]\nhost = \"smtp.example.com\"\n";
    for (clients, wrong) in clients_with_the_well_known_secret() {
        for settings in [exposed, &exposed_tls, production] {
            let found = problems(&format!("{settings}{clients}"));
            assert!(
                found.len() == 1 && found[0].contains(wrong) && found[0].contains("well-known"),
                "{settings}{clients}{found:#?}"
            );
        }
        let config = load(&clients).expect("on loopback in development");
        let is_known = config.environment.clients.iter().any(has_well_known_secret);
        assert!(is_known, "its names are guarded then: {clients}");
    }
    let token = format!("[control]\ntoken = \"{DEFAULT_CLIENT_SECRET}\"\n");
    assert!(problems(&token)[0].contains("control.token is the well-known"), "{:?}", problems(&token));
}

#[test]
fn secrets_that_are_easy_to_guess_are_refused_and_told_how_to_make_one() {
    let found = problems("master_key = \"a\"\n[control]\ntoken = \"x\"\n[metrics]\ntoken = \"12345678\"\n");
    assert_eq!(found.len(), 3, "{found:#?}");
    for (line, name) in [(1, "master_key"), (3, "control.token"), (5, "metrics.token")] {
        let text = format!("vestibule.toml:{line}: {name} is too easy to guess");
        assert!(
            found.iter().any(|p| p.starts_with(&text) && p.contains("openssl rand")),
            "{text}: {found:#?}"
        );
    }
    let client = "[[clients]]\nclient_id = \"a\"\nclient_secret = \"short\"\n";
    assert!(load(client).is_ok(), "samples on one's own machine may have any");
    let exposed = format!(
        "listen = \"0.0.0.0:6870\"\npublic_urls = [\"http://localhost:6870\"]\ncontrol = false\n{client}"
    );
    assert!(problems(&exposed)[0].contains("clients[0].client_secret is too easy to guess"));
    let empty = problems("[[clients]]\nclient_id = \"a\"\nclient_secrets = [\"\"]\n");
    assert!(empty[0].contains("holds an empty secret"), "{empty:?}");
}

#[test]
fn production_mode_requires_what_real_users_need() {
    let found = problems(
        "mode = \"production\"\npublic_urls = [\"http://id.example.com\"]\n[control]\nenabled = true\n",
    );
    for name in
        ["client_secret", "vestibule.toml:4: control.enabled", "smtp.host", "vestibule.toml:2: public_urls"]
    {
        assert!(found.iter().any(|p| p.starts_with(name)), "{name} is missing in {found:?}");
    }
    let good = "mode = \"production\"\nclient_id = \"skc_1\"\nclient_secret = \"a secret of our own\"\n\
                redirect_uris = [\"https://app.example.com/cb\"]\npublic_urls = [\"https://id.example.com\"]\n\
                [smtp]\nhost = \"smtp.example.com\"\n";
    let config = load(good).unwrap();
    assert!(!config.environment.test_users.enabled);
    assert!(!config.control.enabled);
    assert_eq!((config.environment.requests_keep, config.environment.fault_addresses), (0, false));
    let found = problems(&format!("{good}[requests]\nkeep = 1\n[faults]\naddresses = true\n"));
    for name in ["vestibule.toml:9: requests.keep", "vestibule.toml:11: faults.addresses"] {
        assert!(found.iter().any(|p| p.starts_with(name)), "{name} is missing in {found:?}");
    }
    assert!(load(&good.replace("https://app.example.com/cb", "http://localhost:3000/cb")).is_err());
}

#[test]
fn the_full_stack_profile_has_its_own_lifetimes_unless_set() {
    let config = load("[tokens]\nuser_management = true\naccess_token_lifetime_s = 60\n").unwrap();
    assert_eq!(config.environment.tokens.access_token_lifetime_s, 60);
    assert_eq!(config.environment.tokens.id_token_lifetime_s, 1800);
}

#[test]
fn clients_users_and_organizations_are_read() {
    let config = load(
        "[[clients]]\nclient_id = \"web\"\nclient_secrets = [\"a\", \"b\"]\n\
         [[clients]]\nclient_id = \"spa\"\ntype = \"spa\"\n\
         [[organizations]]\ndisplay_name = \"Acme\"\nexternal_id = \"acme\"\n\
         [[users]]\nemail = \"jane@example.com\"\norganizations = [\"acme\"]\nroles = { acme = \"admin, member\" }\n",
    )
    .unwrap();
    assert_eq!(config.environment.clients.len(), 2);
    assert!(matches!(config.environment.clients[1].kind, ClientKind::Spa));
    assert_eq!(config.seed.users[0].organizations, ["acme"]);
    let roles = ["admin", "member"].map(str::to_owned).to_vec();
    assert_eq!(config.seed.users[0].roles, [("acme".to_owned(), roles)]);
    let found = problems(
        "[[clients]]\nclient_id = \"a\"\nclient_secrets = [\"1\", \"2\", \"3\"]\n\
         [[clients]]\nclient_id = \"a\"\nclient_secret = \"1\"\n\
         [[users]]\nemail = \"a@x.io,b@y.io\"\norganizations = [\"nobody\"]\n",
    );
    assert_eq!(found.len(), 4, "{found:#?}");
    let found = problems(
        "[[organizations]]\ndisplay_name = \"Acme\"\nexternal_id = \"acme\"\n\
         [[users]]\nemail = \"jane@example.com\"\nroles = { acme = \"admin\" }\n\
         [[users]]\nemail = \"bob@example.com\"\norganizations = [\"acme\"]\nroles = { acme = \"chief\" }\n",
    );
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("none of this user's organizations") && found[1].contains("[[roles]]"),
        "{found:#?}"
    );
}

#[test]
fn two_spellings_of_one_mailbox_and_two_records_of_one_id_are_refused() {
    let user = |fields: &str| format!("[[users]]\n{fields}\n");
    let found = problems(&format!(
        "{}{}{}",
        user("email = \"jane@bücher.example\""),
        user("email = \"bob@example.com\""),
        user("email = \"JANE@xn--bcher-kva.example\""),
    ));
    let wanted = "vestibule.toml:6: users[2].email = \"JANE@xn--bcher-kva.example\": is the same email as \
                  users[0].email (vestibule.toml:2)";
    assert_eq!(found, [wanted]);
    let twins =
        ["a", "b"].map(|name| user(&format!("email = \"{name}@x.io\"\nid = \"usr_123456789012345\"")));
    assert!(problems(&twins.concat())[0].contains("users[1].id = \"usr_123456789012345\": is the same id"));
    let acme = "[[organizations]]\ndisplay_name = \"Acme\"\nid = \"org_123456789012345\"\n";
    let found = problems(&acme.repeat(2));
    assert!(found[0].contains("organizations[1].id") && found[0].contains("(vestibule.toml:3)"), "{found:?}");
    for field in ["slug", "external_id"] {
        let table = format!("[[organizations]]\ndisplay_name = \"Acme\"\n{field} = \"acme\"\n");
        assert!(problems(&table.repeat(2))[0].contains(&format!("organizations[1].{field}")), "{field}");
    }
}

#[test]
fn organizations_have_domains_that_are_theirs_alone_and_others_that_let_users_join() {
    let table = |fields: &str| format!("[[organizations]]\ndisplay_name = \"Acme\"\n{fields}\n");
    let config =
        load(&table("domains = [\"ACME.com\", \"acme.com\"]\nallowed_email_domains = [\"acme.com\"]"))
            .unwrap();
    let domains = config.seed.organizations[0].domains.iter();
    let domains: Vec<_> = domains.map(|(name, domain_type)| (name.as_str(), domain_type.as_str())).collect();
    assert_eq!(domains, [("acme.com", "ORGANIZATION_DOMAIN"), ("acme.com", "ALLOWED_EMAIL_DOMAIN")]);
    for (fields, wanted) in [
        ("domains = [\"nowhere\"]", "domains has \"nowhere\", which is no domain name"),
        (
            "allowed_email_domains = [\"gmail.com\"]",
            "allowed_email_domains has \"gmail.com\", where everybody",
        ),
    ] {
        let found = problems(&table(fields));
        assert!(found.len() == 1 && found[0].contains(wanted), "{found:?}");
    }
    let two = |field: &str| table(&format!("{field} = [\"acme.com\"]")).repeat(2);
    let found = problems(&two("domains"));
    assert!(
        found[0].contains("organizations[1].domains has \"acme.com\", which organizations[0]"),
        "{found:?}"
    );
    assert!(load(&two("allowed_email_domains")).is_ok());
}

#[test]
fn organizations_have_metadata_under_names_of_their_own() {
    let table = |fields: &str| format!("[[organizations]]\ndisplay_name = \"Acme\"\n{fields}\n");
    let config = load(&table(
        "slug = \"auth.acme.com\"\n[organizations.metadata]\nplan = \"pro\"\n\"cost centre\" = \"7\"",
    ))
    .unwrap();
    let metadata = &config.seed.organizations[0].metadata.0;
    assert_eq!(metadata["plan"], "pro");
    assert_eq!(metadata["cost centre"], "7");
    for (fields, wanted) in [
        ("metadata = \"pro\"", "metadata must be a table of texts"),
        ("metadata = { plan = 7 }", "metadata.plan must be text"),
        ("metadata = { plan = \"\" }", "metadata has a value for \"plan\""),
        ("metadata = { p = \"pro\" }", "metadata has the name \"p\""),
        ("slug = \"No Slug\"", "slug = \"No Slug\": must be a host name"),
    ] {
        let found = problems(&table(fields));
        assert!(found.len() == 1 && found[0].contains(wanted), "{found:?}");
    }
}

#[test]
fn text_that_no_system_takes_and_numbers_beyond_their_range_are_refused_in_a_sentence() {
    for (toml, wanted) in [
        ("data_dir = \"a\\u0000b\"", "vestibule.toml:1: data_dir must not contain a NUL character (\\u0000)"),
        (
            "[test_users]\npatterns = [\"a\\u0000b\"]",
            "vestibule.toml:2: test_users.patterns must not contain a NUL character (\\u0000)",
        ),
        (
            "listen = \"localhost:65536\"",
            "vestibule.toml:1: listen = \"localhost:65536\": must have a port from 0 to 65535",
        ),
        (
            "listen_tls = \"[::1]:99999999999999999999\"",
            "vestibule.toml:1: listen_tls = \"[::1]:99999999999999999999\": must have a port from 0 to 65535",
        ),
        (
            "listen = \"localhost\"",
            "vestibule.toml:1: listen = \"localhost\": must be HOST:PORT, such as localhost:6870, or a port",
        ),
        (
            "[smtp]\nhost = \"localhost\"\nport = 70000",
            "vestibule.toml:3: smtp.port must be a whole number from 1 to 65535",
        ),
        (
            "[passwordless]\nvalidity_s = 300.5",
            "vestibule.toml:2: passwordless.validity_s must be a whole number from 60 to 3600",
        ),
    ] {
        assert_eq!(problems(toml), [wanted]);
    }
    // A file whose end is missing: where it breaks off, and nothing of what stands there.
    let half_written = problems("client_id = \"skc_1\"\nclient_secret = \"half of a secr");
    assert!(half_written[0].starts_with("vestibule.toml:2: "), "{half_written:?}");
    assert!(half_written.iter().all(|p| !p.contains("secr\"") && !p.contains("half of")), "{half_written:?}");
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let config = load_with(
        "",
        &[
            ("VESTIBULE_CLIENT_ID", "a"),
            ("VESTIBULE_CLIENT_SECRET", "sesame, open yourself"),
            ("VESTIBULE_MASTER_KEY", "sesame, open yourself"),
            ("VESTIBULE_CONTROL__TOKEN", "sesame, open yourself"),
        ],
    );
    assert!(!format!("{:?}", config.unwrap()).contains("sesame"));
}

fn load_with_variables(variables: &[(&str, &str)]) -> Result<Config, Problems> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(&Overrides::default(), variables, &SystemEntropy)
}

#[test]
fn port_is_that_of_the_hosting_platform_where_all_interfaces_are_listened_on() {
    let image = [
        ("VESTIBULE_LISTEN", "0.0.0.0:6870"),
        ("VESTIBULE_GENERATE_CREDENTIALS", "true"),
        ("VESTIBULE_ISSUER", "from_host"),
    ];
    let listen = |more: &[(&str, &str)]| {
        load_with_variables(&[image.as_slice(), more].concat()).map(|config| config.listen.to_string())
    };
    assert_eq!(listen(&[]).unwrap(), "0.0.0.0:6870");
    assert_eq!(listen(&[("PORT", "8080")]).unwrap(), "0.0.0.0:8080");
    assert_eq!(listen(&[("PORT", "8080"), ("VESTIBULE_LISTEN", "[::]:6870")]).unwrap(), "[::]:8080");
    let wrong = listen(&[("PORT", "http")]).unwrap_err().to_string();
    assert!(wrong.contains("PORT: listen = \"0.0.0.0:http\": must be HOST:PORT"), "{wrong}");
    // On anybody's own machine it is the application's.
    assert_eq!(load_with_variables(&[("PORT", "3000")]).unwrap().listen.to_string(), "localhost:6870");
}

#[test]
fn credentials_are_made_where_none_are_set() {
    let exposed = [
        ("VESTIBULE_LISTEN", "0.0.0.0:6870"),
        ("VESTIBULE_GENERATE_CREDENTIALS", "true"),
        ("VESTIBULE_ISSUER", "from_host"),
    ];
    let with = |more: &[(&str, &str)]| load_with_variables(&[exposed.as_slice(), more].concat());
    let secret_of = |config: &Config| config.shown_client().unwrap().1.unwrap().expose_secret().to_owned();
    let config = with(&[]).unwrap();
    assert!(config.generated.client_secret && config.generated.control_token);
    assert_eq!(config.shown_client().unwrap().0, DEFAULT_CLIENT_ID);
    assert_eq!(config.shown_public_client(), Some(DEFAULT_SPA_CLIENT_ID));
    assert_ne!(secret_of(&config), secret_of(&with(&[]).unwrap()), "new ones at each start");
    assert!(secret_of(&config).len() > 40);

    let token = ("VESTIBULE_CONTROL__TOKEN", "a token of our own");
    let config = with(&[token]).unwrap();
    assert!(config.generated.client_secret && !config.generated.control_token);
    let own = [("VESTIBULE_CLIENT_ID", "skc_1"), ("VESTIBULE_CLIENT_SECRET", "a secret of our own")];
    let config = with(&own).unwrap();
    assert!(!config.generated.client_secret && config.generated.control_token);
    assert_eq!(secret_of(&config), "a secret of our own");
    // Half of a pair is a mistake still.
    assert!(with(&own[1..]).is_err());
    let production = with(&[("VESTIBULE_MODE", "production")]).unwrap_err().to_string();
    assert!(production.contains("client_secret"), "{production}");
}

#[test]
fn the_host_of_a_request_is_the_issuer_where_that_is_wanted_and_it_is_of_a_private_network() {
    let mut config = load("issuer = \"from_host\"").unwrap();
    config.settle_public_urls(6870, None);
    let environment = config.environment;
    for (host, url) in [
        ("localhost:32768", "http://localhost:32768"),
        ("192.168.0.9:32768", "http://192.168.0.9:32768"),
        ("vestibule:6870", "http://vestibule:6870"),
        ("host.docker.internal", "http://host.docker.internal"),
        // A stranger may own such names and addresses.
        ("vestibule.example", "http://localhost:6870"),
        ("203.0.113.7:80", "http://localhost:6870"),
        ("localhost/a", "http://localhost:6870"),
        ("user@localhost", "http://localhost:6870"),
    ] {
        assert_eq!(environment.public_url_for(false, Some(host)).issuer(), url, "{host}");
        assert!(environment.is_issuer(url), "{host}");
    }
    assert_eq!(environment.public_url_for(true, Some("localhost:32768")).issuer(), "https://localhost:32768");
    assert!(!environment.is_issuer("http://vestibule.example"));
    assert!(!environment.is_issuer("http://localhost:32768/e/a"));

    let isolated = Environment { name: EnvironmentName::parse("a"), ..environment };
    for (host, url) in [
        ("localhost:32768", "http://localhost:32768/e/a"),
        ("a.localhost:32768", "http://a.localhost:32768"),
        ("vestibule:6870", "http://vestibule:6870/e/a"),
    ] {
        let asked = isolated.public_url_for(false, Some(host));
        assert_eq!(asked.issuer(), url);
        assert!(isolated.is_issuer(url), "{url}");
        assert_eq!(isolated.urls_seen_from(&asked)[0].issuer(), url);
    }
    assert!(!isolated.is_issuer("http://localhost:32768"));

    // Where URLs are set, and in production mode, they alone count.
    let set = load("issuer = \"from_host\"\npublic_urls = [\"http://localhost:1\"]").unwrap();
    assert!(!set.environment.issuer_from_host);
    let production = "mode = \"production\"\nissuer = \"from_host\"\npublic_urls = [\"https://id.example.com\"]\n\
                      [smtp]\nhost = \"smtp.example.com\"";
    let client = "\n[[clients]]\nclient_id = \"skc_1\"\nclient_secret = \"a secret of our own\"\n";
    assert!(!load(&format!("{production}{client}")).unwrap().environment.issuer_from_host);
}

#[test]
fn emails_are_received_on_loopback_addresses_in_development_alone() {
    let listen =
        |text: &str| load(&format!("smtp_listen = \"{text}\"\n")).map(|c| c.smtp_listen.unwrap().to_string());
    for fine in ["localhost:1025", "127.0.0.1:0", "[::1]:2525"] {
        assert_eq!(listen(fine).ok().as_deref(), Some(fine));
    }
    for exposed in ["0.0.0.0:25", "[::]:25", "192.168.1.2:25", "mail.example.com:25"] {
        let told = listen(exposed).unwrap_err().0[0].to_string();
        assert!(told.contains("must be a loopback address"), "{told}");
    }
    assert!(load("").unwrap().smtp_listen.is_none());
    let production = problems("mode = \"production\"\nsmtp_listen = \"localhost:1025\"\n");
    assert!(
        production.iter().any(|p| p.contains("smtp_listen") && p.contains("production mode")),
        "{production:?}"
    );
}
