//! What every setting means: the one text from which `vestibule.example.toml` and the table of
//! docs/CONFIGURATION.md are made. A test holds it against the settings that are really read.

/// A setting: dotted name, example or default as TOML, and what it does.
struct Setting(&'static str, &'static str, &'static str);

/// A table of settings; the first has no name.
struct Section {
    header: &'static str,
    about: &'static str,
    settings: &'static [Setting],
}

const SECTIONS: &[Section] = &[
    Section {
        header: "",
        about: "The server.",
        settings: &[
            Setting(
                "listen",
                "\"localhost:6870\"",
                "HOST:PORT to listen on; port 0 takes a free one. `localhost` is 127.0.0.1 and [::1], whichever of them the machine has. Beyond loopback, own credentials, a control token and public_urls are demanded.",
            ),
            Setting(
                "listen_tls",
                "\"localhost:443\"",
                "A second listener, for TLS alone; the first one speaks TLS too. Scalekit's Java SDK insists on port 443.",
            ),
            Setting(
                "public_urls",
                "[\"http://localhost:6870\"]",
                "URLs under which browsers and applications reach the server. Issuer, mails and redirects are built from these alone; the request's Host chooses among them, and an unknown Host gets the first. Everything of a sign-in names the URL that it began under as issuer, whichever one the application calls later. While a client has the well-known secret, a name of public DNS that is not among them is refused (421). Default: localhost, 127.0.0.1 and [::1] with the port really bound, by http and https.",
            ),
            Setting(
                "trusted_proxies",
                "[\"10.0.0.0/8\", \"::1\"]",
                "Addresses and networks of the proxies whose `X-Forwarded-For` is believed when sources of emails are told apart. Default: none, and a proxy is one source.",
            ),
            Setting(
                "mode",
                "\"development\"",
                "`development` or `production`. Production has no inbox, no test users and no loopback redirects, and needs https public_urls and SMTP.",
            ),
            Setting(
                "data_dir",
                "\".vestibule\"",
                "Folder of the embedded database and of the local certificate authority, for its owner alone (0700). One that others can read is changed in development, and refused in production mode.",
            ),
            Setting(
                "data_dir_group_access",
                "false",
                "Let the folder's group look into data_dir: for volumes whose mode cannot be changed.",
            ),
            Setting(
                "ephemeral",
                "false",
                "Keep nothing: the database is a private temporary file, deleted at the end.",
            ),
            Setting(
                "ready_file",
                "\"ready.json\"",
                "Write address and credentials there as JSON once the server answers. It is removed at the start and at the end.",
            ),
            Setting(
                "master_key",
                "\"\"",
                "Encrypts the keys kept in the database: 16 characters or more, such as `openssl rand -base64 32` makes. Best set as VESTIBULE_MASTER_KEY. Production mode without it warns at every start.",
            ),
            Setting("workers", "2", "Worker threads. Default: one per core."),
            Setting(
                "shutdown_delay_s",
                "0",
                "Seconds after SIGTERM in which requests are still served, and /ready answers 503 so that a load balancer sends no more.",
            ),
            Setting(
                "shutdown_timeout_s",
                "30",
                "Seconds that requests under way get to finish after SIGTERM.",
            ),
            Setting(
                "environment_id",
                "\"env_687000000000000001\"",
                "Name of the environment in the database.",
            ),
            Setting(
                "strict_redirects",
                "false",
                "In development too, refuse loopback http redirect URIs that are not registered.",
            ),
            Setting(
                "login_hint",
                "\"send\"",
                "`send`: mail the hinted address at once. `prefill`: fill it into the form.",
            ),
            Setting(
                "demo",
                "false",
                "A demonstration without an inbox: a banner on the pages, and the code on the code page. Never in production mode.",
            ),
            Setting(
                "deterministic_seed",
                "\"any text\"",
                "Makes ids, codes, links and token ids the same in every run that does the same steps in the same order. Never in production mode.",
            ),
            Setting(
                "client_id",
                "\"skc_687000000000000001\"",
                "Id of the default web client, when no [[clients]] are wanted; meant for VESTIBULE_CLIENT_ID.",
            ),
            Setting(
                "client_secret",
                "\"test_…\"",
                "Its secret. The default pair is the same on every machine and accepted on loopback in development only; everywhere else a secret needs 16 characters or more.",
            ),
            Setting(
                "redirect_uris",
                "[\"https://app.example.com/callback\"]",
                "Its registered callbacks. Loopback http URLs need no registration in development.",
            ),
            Setting(
                "post_logout_redirect_uris",
                "[\"https://app.example.com/\"]",
                "Where browsers may go after logout, when the application asks for it.",
            ),
            Setting(
                "instant_sign_in",
                "false",
                "The control API may sign people in for it without a mail. Never in production mode.",
            ),
        ],
    },
    Section {
        header: "[database]",
        about: "PostgreSQL instead of the embedded database.",
        settings: &[
            Setting(
                "url",
                "\"postgres://user:password@localhost/vestibule\"",
                "Also read from DATABASE_URL. Several servers may share one database.",
            ),
            Setting("max_connections", "10", "Connections per server."),
            Setting(
                "timeout_s",
                "5",
                "Seconds to wait for a connection, and for each answer, before a request fails with 503.",
            ),
            Setting(
                "schema",
                "\"vestibule\"",
                "Schema of our tables, apart from an application's own in the same database. It is created where it is missing.",
            ),
            Setting(
                "transaction_pooler",
                "false",
                "Set it where PgBouncer, or another pooler, stands before the database.",
            ),
        ],
    },
    Section {
        header: "[passwordless]",
        about: "Scalekit's panel \"Magic link & OTP\".",
        settings: &[
            Setting("enabled", "true", "Offer sign-in by e-mail at all."),
            Setting(
                "type",
                "\"LINK_OTP\"",
                "What mails carry: `OTP` a code, `LINK` a link, `LINK_OTP` both.",
            ),
            Setting("validity_s", "300", "Seconds that code and link live: 60 to 3600."),
            Setting(
                "enforce_same_browser_origin",
                "true",
                "A link signs in only in the browser that asked for it.",
            ),
            Setting(
                "regenerate_passwordless_credentials_on_resend",
                "true",
                "A resend makes a new code and link, and the earlier ones die. Off: the same are sent again.",
            ),
            Setting("code_length", "6", "Digits of a code: 6 to 10."),
            Setting(
                "connection_id",
                "\"conn_687000000000000001\"",
                "In `amr`, and in `sub` of the modular profile.",
            ),
            Setting(
                "sign_up_allowed",
                "true",
                "May unknown addresses sign up? If not, they learn so only after they proved the address.",
            ),
        ],
    },
    Section {
        header: "[test_users]",
        about: "Addresses that sign in with a fixed code and get no mail by SMTP. Never in production mode.",
        settings: &[
            Setting("enabled", "true", "Scalekit's switch \"Test users\"."),
            Setting(
                "patterns",
                "[\"*+sktest*@*\"]",
                "Addresses; `*` stands for any characters. Any number may match, and links work too.",
            ),
            Setting("static_code", "\"424242\"", "Their code."),
        ],
    },
    Section {
        header: "[tokens]",
        about: "Token profile and lifetimes, in seconds.",
        settings: &[
            Setting(
                "user_management",
                "false",
                "false: Scalekit's modular profile, `sub` is `conn_…;email`. true: full-stack, `sub` is `usr_…`, with `oid` and `sid`.",
            ),
            Setting("access_token_lifetime_s", "900", "300 by default in the full-stack profile."),
            Setting("id_token_lifetime_s", "259200", "1800 by default in the full-stack profile."),
            Setting("client_token_lifetime_s", "86399", "Tokens of client_credentials."),
            Setting("authorization_code_lifetime_s", "600", "At most 600."),
            Setting("refresh_token_lifetime_s", "2592000", "Of the whole family, from the first token on."),
            Setting(
                "refresh_grace_s",
                "30",
                "Seconds after a refresh in which the token it used may be used again and gets the same successor: for refreshes whose answer was lost, and parallel ones. 0 to 120.",
            ),
        ],
    },
    Section {
        header: "[sessions]",
        about: "Browser sessions, which make the next sign-in silent.",
        settings: &[
            Setting("absolute_timeout_s", "2592000", "Seconds a session lives at most."),
            Setting("idle_timeout_s", "604800", "Seconds a session lives without being used."),
        ],
    },
    Section {
        header: "[logout]",
        about: "Logout by applications (`/oidc/logout`).",
        settings: &[Setting(
            "confirm",
            "\"without_hint\"",
            "`without_hint`: ask the person first where no valid id_token_hint came, the default in production mode. `never`: sign out at once, the default in development. An id_token_hint of another person or session always asks.",
        )],
    },
    Section {
        header: "[backchannel_logout]",
        about: "Telling applications of the end of a session.",
        settings: &[Setting(
            "ca_file",
            "\"ca.pem\"",
            "Also trust the certificates in this file. SSL_CERT_FILE names one to trust instead of the system's.",
        )],
    },
    Section {
        header: "[limits]",
        about: "Limits against guessing and flooding. Those per sign-in and per address are counted in the database, those per source and in all in each server's memory.",
        settings: &[
            Setting(
                "code_attempts",
                "5",
                "Codes judged per sign-in within the window; one more closes the sign-in.",
            ),
            Setting("code_attempts_window_s", "600", "That window."),
            Setting(
                "mails_per_address",
                "2",
                "Emails per address within the window, sends and resends together; 0 switches the limit off. Test users have none.",
            ),
            Setting("mails_window_s", "60", "That window."),
            Setting(
                "mails_per_source",
                "30",
                "Emails that one source may cause on the sign-in pages within that window; 0 switches the limit off. A source is an IPv4 address, or the first 64 bits of an IPv6 address. Default: 30 in production mode, 0 in development.",
            ),
            Setting(
                "mails_in_all",
                "600",
                "Emails that all sources together may cause on the sign-in pages within that window; 0 switches the limit off. Each server counts its own, and calls of the API do not count. Default: 600 in production mode, 0 in development.",
            ),
            Setting(
                "failed_attempts_per_address",
                "100",
                "Wrong codes per address and 24 hours that are not reached: one fewer is judged, then only links sign in; 0 switches the limit off.",
            ),
            Setting("auth_request_lifetime_s", "3600", "Seconds from the first page to the proof."),
        ],
    },
    Section {
        header: "[flows]",
        about: "The log of sign-ins: what was checked and decided, and why.",
        settings: &[Setting("keep_s", "86400", "Seconds that it is kept; 0 keeps none.")],
    },
    Section {
        header: "[tls]",
        about: "A certificate of your own. Without it, a local certificate authority is made in the data folder: `vestibule ca` says how to trust it.",
        settings: &[
            Setting("certificate", "\"fullchain.pem\"", "PEM, the leaf first. Read again when it changes."),
            Setting("key", "\"privkey.pem\"", "PEM."),
        ],
    },
    Section {
        header: "[branding]",
        about: "What people see.",
        settings: &[
            Setting("name", "\"Vestibule\"", "On pages and in mails."),
            Setting(
                "logo",
                "\"logo.svg\"",
                "A file (svg, png, jpg, webp), relative to this one; served by the server itself.",
            ),
            Setting(
                "accent_color",
                "\"#3f4a8a\"",
                "Buttons and links; shades that stay readable are derived from it.",
            ),
            Setting("support_email", "\"help@example.com\"", "Shown where people get stuck."),
        ],
    },
    Section {
        header: "[mail]",
        about: "The sender of mails.",
        settings: &[
            Setting("from_name", "\"Vestibule\"", "Default: branding.name."),
            Setting("from_address", "\"no-reply@vestibule.localhost\"", "One plain address."),
        ],
    },
    Section {
        header: "[smtp]",
        about: "Without a host, the built-in inbox alone receives.",
        settings: &[
            Setting("host", "\"smtp.example.com\"", "Name or address of the SMTP server."),
            Setting("port", "587", "Default by encryption: none 25, starttls 587, tls 465."),
            Setting("encryption", "\"starttls\"", "`none`, `starttls` (demanded, never skipped) or `tls`."),
            Setting("username", "\"user\"", "Together with the password, or not at all."),
            Setting("password", "\"password\"", "Best set as VESTIBULE_SMTP__PASSWORD."),
            Setting("timeout_s", "10", "Of one whole delivery."),
            Setting("ca_file", "\"ca.pem\"", "Also trust the certificates in this file."),
            Setting("max_attempts", "20", "Attempts, slower and slower, before a mail is given up."),
        ],
    },
    Section {
        header: "[control]",
        about: "The inbox and the control API below /_emulator.",
        settings: &[
            Setting(
                "enabled",
                "true",
                "In production mode it must be false. `control = false` instead of the whole table does the same.",
            ),
            Setting(
                "token",
                "\"\"",
                "Demanded of every caller when set, 16 characters or more: as Bearer token, or as the password a browser asks for.",
            ),
            Setting(
                "scenarios",
                "\"scenarios\"",
                "Folder of the named scenarios, one JSON or TOML file each.",
            ),
        ],
    },
    Section {
        header: "[log]",
        about: "Logs go to standard error.",
        settings: &[
            Setting("format", "\"text\"", "`text` or `json`."),
            Setting(
                "filter",
                "\"info,actix_server=warn,sqlx=warn\"",
                "Level, or levels by module: `warn,vestibule=debug`.",
            ),
        ],
    },
    Section {
        header: "[metrics]",
        about: "Figures for Prometheus at /metrics. In development everybody on this machine may read them, or whoever has the control API's token.",
        settings: &[
            Setting("enabled", "true", "In production mode only with a token."),
            Setting("token", "\"\"", "Demanded as Bearer token when set, 16 characters or more."),
        ],
    },
    Section {
        header: "[traces]",
        about: "Traces for an OpenTelemetry collector. Without an endpoint there are none.",
        settings: &[
            Setting(
                "endpoint",
                "\"http://127.0.0.1:4318\"",
                "Base URL of the collector, which speaks OTLP over HTTP. `OTEL_EXPORTER_OTLP_ENDPOINT` does the same, and `OTEL_EXPORTER_OTLP_HEADERS` adds headers. The program must be built with the feature `otel`, as the container image is.",
            ),
            Setting("service_name", "\"vestibule\"", "`OTEL_SERVICE_NAME` does the same."),
            Setting(
                "sample_percent",
                "100",
                "Of the traces that begin here. A caller's decision outranks it.",
            ),
        ],
    },
    Section {
        header: "[[clients]]",
        about: "Registered applications. Without any, there are two with well-known credentials: the web client skc_687000000000000001 with its secret, and the public client spac_687000000000000001 for applications in a browser.",
        settings: &[
            Setting("client_id", "\"skc_1234\"", "Any text; Scalekit's start with skc_."),
            Setting("name", "\"My App\"", "What people read."),
            Setting("type", "\"web\"", "`web` has a secret; `spa` and `native` are public and use PKCE."),
            Setting(
                "client_secret",
                "\"test_secret\"",
                "Of a web client. 16 characters or more in production mode and on listeners beyond loopback.",
            ),
            Setting("client_secrets", "[]", "Further ones while a secret is replaced: two in all."),
            Setting(
                "client_secret_argon2",
                "\"$argon2id$…\"",
                "Instead of the secret itself; `vestibule config hash-secret` makes it.",
            ),
            Setting(
                "redirect_uris",
                "[\"https://app.example.com/callback\"]",
                "Callbacks. In development one `*` may stand in the leftmost host label.",
            ),
            Setting(
                "post_logout_redirect_uris",
                "[\"https://app.example.com/\"]",
                "Where browsers may go after logout.",
            ),
            Setting(
                "initiate_login_uri",
                "\"https://app.example.com/login\"",
                "Where a browser goes that lost its sign-in.",
            ),
            Setting(
                "backchannel_logout_uri",
                "\"https://app.example.com/backchannel-logout\"",
                "Where logout tokens are sent when a session ends in which this client got tokens.",
            ),
            Setting("enforce_pkce", "false", "Demand PKCE of a web client too."),
            Setting(
                "require_pushed_authorization_requests",
                "false",
                "Answer only authorization requests that this client pushed to /oauth/par.",
            ),
            Setting(
                "id_token_signed_response_alg",
                "\"RS256\"",
                "`RS256` or `ES256`, for ID tokens and logout tokens. The key set holds a key for ES256 once a client asks for it.",
            ),
            Setting("access_token_lifetime_s", "900", "Of this client alone."),
            Setting(
                "instant_sign_in",
                "false",
                "The control API may sign people in for it without a mail. Never in production mode.",
            ),
        ],
    },
    Section {
        header: "[[organizations]]",
        about: "Organizations that exist from the start.",
        settings: &[
            Setting("id", "\"org_100000000000000001\"", "org_ and 15 to 21 digits; made when left out."),
            Setting("display_name", "\"Acme\"", "Needed."),
            Setting("external_id", "\"acme\"", "Your own id: `xoid` in tokens."),
        ],
    },
    Section {
        header: "[[users]]",
        about: "Users that exist from the start. Others appear with their first sign-in.",
        settings: &[
            Setting("id", "\"usr_100000000000000001\"", "usr_ and 15 to 21 digits; made when left out."),
            Setting("email", "\"jane@example.com\"", "Needed; compared without case."),
            Setting("name", "\"Jane Doe\"", "Full name."),
            Setting("given_name", "\"Jane\"", ""),
            Setting("family_name", "\"Doe\"", ""),
            Setting("picture", "\"https://example.com/jane.png\"", ""),
            Setting("locale", "\"en\"", ""),
            Setting("external_id", "\"user-1\"", "Your own id: `xuid` in tokens."),
            Setting("organizations", "[\"acme\"]", "Ids or external ids of organizations."),
        ],
    },
];

fn variable(section: &Section, setting: &Setting) -> Option<String> {
    if section.header.starts_with("[[") {
        return None;
    }
    let table = section.header.trim_matches(['[', ']']);
    let name = if table.is_empty() { setting.0.to_owned() } else { format!("{table}__{}", setting.0) };
    Some(format!("VESTIBULE_{}", name.to_uppercase()))
}

/// The text of `vestibule.example.toml`.
pub fn example_toml() -> String {
    let mut out = String::from(
        "# Every setting of Vestibule. Copy what you need into vestibule.toml.\n\
         # Later layers win: this file, then VESTIBULE_* variables (and DATABASE_URL), then flags.\n",
    );
    for section in SECTIONS {
        out.push_str(&format!("\n# {}\n", section.about));
        if !section.header.is_empty() {
            out.push_str(&format!("#{}\n", section.header));
        }
        for Setting(name, example, about) in section.settings {
            if !about.is_empty() {
                out.push_str(&format!("# {about}\n"));
            }
            out.push_str(&format!("#{name} = {example}\n"));
        }
    }
    out
}

/// The tables of docs/CONFIGURATION.md.
pub fn reference_markdown() -> String {
    let mut out = String::new();
    for section in SECTIONS {
        let title =
            if section.header.is_empty() { "Top level".to_owned() } else { format!("`{}`", section.header) };
        out.push_str(&format!(
            "## {title}\n\n{}\n\n| setting | default or example | meaning |\n|---|---|---|\n",
            section.about
        ));
        for setting in section.settings {
            let Setting(name, example, about) = setting;
            let variable = variable(section, setting).map(|v| format!("<br>`{v}`")).unwrap_or_default();
            out.push_str(&format!("| `{name}`{variable} | `{example}` | {about} |\n"));
        }
        out.push('\n');
    }
    out
}

/// Dotted names of all settings described here.
#[cfg(test)]
pub(super) fn names() -> std::collections::BTreeSet<String> {
    SECTIONS
        .iter()
        .flat_map(|section| {
            let table = section.header.trim_matches(['[', ']']);
            section
                .settings
                .iter()
                .map(move |s| if table.is_empty() { s.0.to_owned() } else { format!("{table}.{}", s.0) })
        })
        .collect()
}
