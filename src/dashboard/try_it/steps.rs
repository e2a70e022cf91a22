//! Each step of a sign-in as a command, and as the code of Scalekit's four SDKs with the values of this server.

use url::form_urlencoded::Serializer;

use super::attempts::Attempt;
use crate::dashboard::blocks::Block;
use crate::domain::client::Client;
use crate::domain::pkce::CodeChallenge;
use crate::domain::shell::quoted as shell;
use crate::service::clients::ClientView;

/// One attempt, and the credentials of its application.
pub struct Steps<'a> {
    pub issuer: &'a str,
    pub attempt: &'a Attempt,
    /// `None`: a public client.
    pub client_secret: Option<String>,
}

/// A value in the source code of a program; what has quotes in it is escaped as JSON does, which all of them read.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What a client authenticates with, or a word in its place where only its hash is known; `None`: a public client.
pub fn secret_of(client: &Client) -> Option<String> {
    let secret = || ClientView::from(client).client_secrets.into_iter().flatten().next();
    (!client.is_public()).then(|| secret().unwrap_or_else(|| "CLIENT_SECRET".to_owned()))
}

/// A step as code to unfold, by the names of languages.
pub fn folded(step: &str, codes: Vec<(&'static str, String)>) -> Block {
    Block::Codes { name: format!("{step} as code"), codes }
}

impl Steps<'_> {
    /// The URL that the browser is sent to.
    pub fn authorize_url(&self) -> String {
        let query = Serializer::new(String::new()).extend_pairs(self.parameters()).finish();
        format!("{}/oauth/authorize?{query}", self.issuer)
    }

    /// The parameters of the authorization request.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let (attempt, request) = (self.attempt, &self.attempt.request);
        let challenge = self.challenge();
        let all = [
            ("response_type", "code"),
            ("client_id", &request.client_id),
            ("redirect_uri", &request.redirect_uri),
            ("scope", &request.scope),
            ("state", &attempt.state),
            ("nonce", &attempt.nonce),
            ("prompt", &request.prompt),
            ("login_hint", &request.login_hint),
            ("organization_id", &request.organization_id),
            ("code_challenge", &challenge),
            ("code_challenge_method", if challenge.is_empty() { "" } else { "S256" }),
        ];
        all.into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, value.to_owned()))
            .collect()
    }

    fn challenge(&self) -> String {
        let verifier = self.attempt.code_verifier.as_deref();
        verifier.map(|verifier| CodeChallenge::of(verifier).as_str().to_owned()).unwrap_or_default()
    }

    /// The line that makes a client of each SDK.
    fn clients(&self) -> [String; 4] {
        let secret = quoted(self.client_secret.as_deref().unwrap_or_default());
        let (url, id) = (quoted(self.issuer), quoted(&self.attempt.request.client_id));
        [
            format!("const scalekit = new ScalekitClient({url}, {id}, {secret});"),
            format!("scalekit = ScalekitClient({url}, {id}, {secret})"),
            format!("client := scalekit.NewScalekitClient({url}, {id}, {secret})"),
            format!("ScalekitClient scalekit = new ScalekitClient({url}, {id}, {secret});"),
        ]
    }

    /// The options of the authorization URL that are texts, as an SDK spells their names; `None`: it has no such option.
    fn options(&self, spelled: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
        let parameters = self.parameters();
        let sent = parameters.iter().filter_map(|(name, value)| Some((spelled(name)?, quoted(value))));
        sent.collect()
    }

    pub fn authorize(&self) -> Block {
        let [node, python, go, java] = self.clients();
        let callback = quoted(&self.attempt.request.redirect_uri);
        let scopes: Vec<String> = self.attempt.request.scope.split_whitespace().map(quoted).collect();
        let scopes = scopes.join(", ");
        let lines = |options: Vec<(String, String)>, line: &dyn Fn(&str, &str) -> String| -> String {
            options.iter().map(|(name, value)| line(name, value)).collect()
        };
        let is_option =
            |name: &str| !matches!(name, "response_type" | "client_id" | "redirect_uri" | "scope");
        let camel = |name: &str| is_option(name).then(|| camel_case(name));
        let pascal = |name: &str| is_option(name).then(|| pascal_case(name));
        // The Python SDK sends no challenge, so the application appends it.
        let snake =
            |name: &str| (is_option(name) && !name.starts_with("code_challenge")).then(|| name.to_owned());
        let appended = match self.challenge() {
            challenge if challenge.is_empty() => String::new(),
            challenge => format!(" + \"&code_challenge={challenge}&code_challenge_method=S256\""),
        };
        folded(
            "Start",
            vec![
                ("curl", format!("curl -i {}", shell(&self.authorize_url()))),
                (
                    "Node",
                    format!(
                        "{node}\nconst url = scalekit.getAuthorizationUrl({callback}, {{\n  scopes: [{scopes}],\n{}}});",
                        lines(self.options(camel), &|n, v| format!("  {n}: {v},\n"))
                    ),
                ),
                (
                    "Python",
                    format!(
                        "{python}\noptions = AuthorizationUrlOptions()\noptions.scopes = [{scopes}]\n{}url = scalekit.get_authorization_url({callback}, options){appended}",
                        lines(self.options(snake), &|n, v| format!("options.{n} = {v}\n"))
                    ),
                ),
                (
                    "Go",
                    format!(
                        "{go}\nurl, err := client.GetAuthorizationUrl({callback}, scalekit.AuthorizationUrlOptions{{\n\tScopes: []string{{{scopes}}},\n{}}})",
                        lines(self.options(pascal), &|n, v| format!("\t{n}: {v},\n"))
                    ),
                ),
                (
                    "Java",
                    format!(
                        "{java}\nAuthorizationUrlOptions options = new AuthorizationUrlOptions();\noptions.setScopes(List.of({scopes}));\n{}URL url = scalekit.authentication().getAuthorizationUrl({callback}, options);",
                        lines(self.options(pascal), &|n, v| format!("options.set{n}({v});\n"))
                    ),
                ),
            ],
        )
    }

    /// The token request of a code, as a form.
    pub fn exchange_command(&self, code: &str) -> String {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.attempt.request.redirect_uri),
        ];
        form.extend(self.attempt.code_verifier.as_deref().map(|verifier| ("code_verifier", verifier)));
        self.token_command(&form)
    }

    fn token_command(&self, form: &[(&str, &str)]) -> String {
        let mut command = format!("curl {}", shell(&format!("{}/oauth/token", self.issuer)));
        let credentials = [("client_id", Some(self.attempt.request.client_id.as_str()))]
            .into_iter()
            .chain([("client_secret", self.client_secret.as_deref())]);
        let credentials = credentials.filter_map(|(name, value)| Some((name, value?)));
        for (name, value) in credentials.chain(form.iter().copied()) {
            command.push_str(&format!(" \\\n  --data-urlencode {}", shell(&format!("{name}={value}"))));
        }
        command
    }

    pub fn exchange(&self, code: &str) -> Block {
        let (callback, code) = (quoted(&self.attempt.request.redirect_uri), quoted(code));
        let verifier = self.attempt.code_verifier.as_deref().map(quoted);
        let (node, python, go, java) = match verifier {
            Some(verifier) => (
                format!(", {{ codeVerifier: {verifier} }}"),
                format!("options.code_verifier = {verifier}\n"),
                format!("CodeVerifier: {verifier}"),
                format!("options.setCodeVerifier({verifier});\n"),
            ),
            None => Default::default(),
        };
        folded(
            "Exchange",
            vec![
                (
                    "Node",
                    format!("const result = await scalekit.authenticateWithCode({code}, {callback}{node});"),
                ),
                (
                    "Python",
                    format!(
                        "options = CodeAuthenticationOptions()\n{python}result = scalekit.authenticate_with_code({code}, {callback}, options)"
                    ),
                ),
                (
                    "Go",
                    format!(
                        "result, err := client.AuthenticateWithCode(ctx, {code}, {callback}, scalekit.AuthenticationOptions{{{go}}})"
                    ),
                ),
                (
                    "Java",
                    format!(
                        "AuthenticationOptions options = new AuthenticationOptions();\n{java}AuthenticationResponse result =\n    scalekit.authentication().authenticateWithCode({code}, {callback}, options);"
                    ),
                ),
            ],
        )
    }

    pub fn validate() -> Block {
        folded(
            "Validate",
            vec![
                ("Node", "const isValid = await scalekit.validateAccessToken(accessToken);".to_owned()),
                ("Python", "is_valid = scalekit.validate_access_token(access_token)".to_owned()),
                ("Go", "isValid, err := client.ValidateAccessToken(ctx, accessToken)".to_owned()),
                (
                    "Java",
                    "boolean isValid = scalekit.authentication().validateAccessToken(accessToken);"
                        .to_owned(),
                ),
            ],
        )
    }

    pub fn userinfo_command(&self, access_token: &str) -> String {
        let header = shell(&format!("Authorization: Bearer {access_token}"));
        format!("curl {} \\\n  -H {header}", shell(&format!("{}/userinfo", self.issuer)))
    }

    pub fn refresh(&self, refresh_token: &str) -> Block {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let token = quoted(refresh_token);
        folded(
            "Refresh",
            vec![
                ("curl", self.token_command(&form)),
                ("Node", format!("const tokens = await scalekit.refreshAccessToken({token});")),
                ("Python", format!("tokens = scalekit.refresh_access_token({token})")),
                ("Go", format!("tokens, err := client.RefreshAccessToken(ctx, {token})")),
                (
                    "Java",
                    format!(
                        "AuthenticationResponse tokens =\n    scalekit.authentication().refreshAccessToken({token});"
                    ),
                ),
            ],
        )
    }

    /// Logout, which only the browser can ask for: the commands show the address that it is sent to.
    pub fn log_out(&self, after_logout: &str) -> Block {
        let after = quoted(after_logout);
        let query =
            Serializer::new(String::new()).append_pair("post_logout_redirect_uri", after_logout).finish();
        let url = format!("{}/oidc/logout?{query}&id_token_hint=ID_TOKEN", self.issuer);
        folded(
            "Log out",
            vec![
                ("curl", format!("curl -i {}", shell(&url))),
                (
                    "Node",
                    format!(
                        "const url = scalekit.getLogoutUrl({{ idTokenHint: idToken, postLogoutRedirectUri: {after} }});"
                    ),
                ),
                (
                    "Python",
                    format!(
                        "options = LogoutUrlOptions()\noptions.id_token_hint = id_token\noptions.post_logout_redirect_uri = {after}\nurl = scalekit.get_logout_url(options)"
                    ),
                ),
                (
                    "Go",
                    format!(
                        "url, err := client.GetLogoutUrl(scalekit.LogoutUrlOptions{{\n\tIdTokenHint:           idToken,\n\tPostLogoutRedirectUri: {after},\n}})"
                    ),
                ),
                // `AuthClient`, the interface in Java, does not have it.
                (
                    "Java",
                    format!(
                        "LogoutUrlOptions options = new LogoutUrlOptions();\noptions.setIdTokenHint(idToken);\noptions.setPostLogoutRedirectUri({after});\nURL url = ((ScalekitAuthClient) scalekit.authentication()).getLogoutUrl(options);"
                    ),
                ),
            ],
        )
    }
}

/// `login_hint` as Java and Go spell it: `LoginHint`.
fn pascal_case(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    });
    words.collect()
}

/// The same as JavaScript spells it: `loginHint`.
fn camel_case(name: &str) -> String {
    let pascal = pascal_case(name);
    let mut letters = pascal.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::try_it::attempts::TryRequest;

    fn attempt(code_verifier: Option<&str>) -> Attempt {
        Attempt {
            key: "key".to_owned(),
            environment_id: "env_1".to_owned(),
            request: TryRequest {
                client_id: "skc_1".to_owned(),
                redirect_uri: "http://localhost/callback".to_owned(),
                scope: "openid email".to_owned(),
                login_hint: "o'\"neil@example.com".to_owned(),
                ..TryRequest::default()
            },
            state: "s".to_owned(),
            nonce: "n".to_owned(),
            code_verifier: code_verifier.map(str::to_owned),
            started_at_ms: 0,
            outcome: None,
            token_lock: Default::default(),
        }
    }

    fn texts(block: Block) -> Vec<String> {
        let Block::Codes { codes, .. } = block else { panic!("code is folded") };
        codes.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn what_is_empty_is_not_sent_and_quotes_end_no_text() {
        let attempt = attempt(Some("a verifier"));
        let steps = Steps { issuer: "http://localhost:1", attempt: &attempt, client_secret: None };
        let names: Vec<&str> = steps.parameters().into_iter().map(|(name, _)| name).collect();
        assert!(!names.contains(&"prompt") && names.contains(&"code_challenge"), "{names:?}");
        let texts = texts(steps.authorize());
        assert!(texts[1].contains(r#"loginHint: "o'\"neil@example.com""#), "{}", texts[1]);
        assert!(!texts[2].contains("options.code_challenge"), "{}", texts[2]);
        assert!(texts[3].contains("LoginHint: "), "{}", texts[3]);
        assert!(texts[4].contains("options.setCodeChallengeMethod(\"S256\");"), "{}", texts[4]);
    }

    #[test]
    fn a_public_client_sends_no_secret() {
        let attempt = attempt(None);
        let mut steps = Steps { issuer: "http://localhost:1", attempt: &attempt, client_secret: None };
        assert!(!steps.exchange_command("c").contains("client_secret"));
        steps.client_secret = Some("secret".to_owned());
        assert!(steps.exchange_command("c").contains("'client_secret=secret'"));
        assert!(!steps.exchange_command("c").contains("code_verifier"));
    }
}
